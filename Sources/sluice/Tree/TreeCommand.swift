import ArgumentParser
import Governance
import Metadata

struct TreeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tree", abstract: "Shows connections, databases, schemas and tables, and which are data sources.",
    discussion: """
      SETTING is what a level says about itself, ENABLED what that and the levels above come to. The tree is as the \
      last sync saw it; sync again with: sluice submit sync PATH. Of a table its columns are shown too.

      Example: sluice tree prod/databricks_postgres --depth 2
      """)

  @Argument(
    help: .init("Where to begin; all connections without it.", valueName: "path"),
    transform: PathText.parse)
  var path: SecurablePath?
  @Option(help: "How many levels below PATH.") var depth = 3
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let records = try await metadata.read { session in
        var records: [OutputRecord] = []
        for root in try await roots(session) {
          if root.level == .connection {
            records.append(try await session.connection(named: root.connection).treeRecord)
          }
          for securable in try await session.securables(below: root, depth: max(depth, 0)) {
            var record = securable.record
            if root.level == .table { record.fields.append(try await session.columnsField(of: securable)) }
            records.append(record)
          }
        }
        return records
      }
      if let path, records.isEmpty { throw CommandFailure.notFound("there is no \(path) as of the last sync") }
      try common.output.list(
        records, columns: ["path", "kind", "setting", "enabled", "owner"] + (path?.level == .table ? ["columns"] : []))
    }
  }

  private func roots(_ session: MetadataSession) async throws -> [SecurablePath] {
    if let path { return [path] }
    return try await session.connections().map { try SecurablePath(parts: [$0.name]) }
  }
}

struct EnableCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enable", abstract: "Makes everything at and below PATH a data source, unless it says otherwise.",
    discussion: "Example: sluice enable prod/databricks_postgres/demo")

  @Argument(help: .init("What to enable.", valueName: "path"), transform: PathText.parse) var path: SecurablePath
  @OptionGroup var common: CommonOptions

  func run() async throws { try await TreeSetting.change(path, to: .enabled, common) }
}

struct DisableCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disable", abstract: "Takes PATH and what is below it out of governance; its grants are revoked.",
    discussion: "Subscriptions are kept, and count again once it is enabled.\n\n"
      + "Example: sluice disable prod/databricks_postgres/scratch")

  @Argument(help: .init("What to disable.", valueName: "path"), transform: PathText.parse) var path: SecurablePath
  @OptionGroup var common: CommonOptions

  func run() async throws { try await TreeSetting.change(path, to: .disabled, common) }
}

struct InheritCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inherit", abstract: "Lets PATH be what the level above it is.",
    discussion: "Example: sluice inherit prod/databricks_postgres/demo")

  @Argument(help: .init("What should inherit.", valueName: "path"), transform: PathText.parse) var path: SecurablePath
  @OptionGroup var common: CommonOptions

  func run() async throws { try await TreeSetting.change(path, to: .inherit, common) }
}

/// Enabling, disabling and inheriting: one change of the tree and the jobs that it needs.
enum TreeSetting {
  static func change(_ path: SecurablePath, to setting: Securable.Setting, _ common: CommonOptions) async throws {
    guard path.level != .connection else {
      throw CommandFailure.wrongUsage(
        "\(path) is a connection; use: sluice connection activate|deactivate, or update --new-data-sources")
    }
    try await common.settingOptions.withMetadata { metadata, _ in
      let after = try await metadata.transaction { session in
        let securable = try await session.securable(at: path)
        if try await session.set(setting, on: securable.id) {
          try await session.audit(
            AuditEntry(
              actor: Operator.name, action: setting.rawValue, connection: path.connection, path: path.description))
          try await session.submitReach(of: securable)
        }
        return try await session.securable(at: path)
      }
      try common.output.done(
        "\(path): \(after.setting.rawValue), \(after.isEnabled ? "enabled" : "disabled")", after.record)
    }
  }
}

extension Securable {
  var record: OutputRecord {
    [
      "path": .text(path.description), "name": .text(path.displayName), "kind": .text(kind.rawValue),
      "setting": .text(setting.rawValue), "enabled": .bool(isEnabled), "owner": .text(owner),
      "oid": .integer(Int64(oid)),
    ]
  }
}

extension MetadataSession {
  fileprivate func columnsField(of securable: Securable) async throws -> OutputRecord.Field {
    let columns = try await columns(of: securable.id)
    return .init(
      name: "columns", value: .list(columns.map { .record(["name": .text($0.name), "type": .text($0.type)]) }))
  }
}

extension Connection {
  var treeRecord: OutputRecord {
    [
      "path": .text(name), "name": .text(name), "kind": .text("connection"),
      "setting": .text(enablesNewDataSources ? "enabled" : "disabled"), "enabled": .bool(state != .inactive),
      "owner": .null, "oid": .null,
    ]
  }
}
