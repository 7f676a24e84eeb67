import ArgumentParser
import Metadata

struct ConnectionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "connection", abstract: "Registered instances and their credentials.",
    discussion: "Example: sluice connection check prod",
    subcommands: [
      ConnectionRegister.self, ConnectionList.self, ConnectionShow.self, ConnectionCheckCommand.self,
      ConnectionUpdate.self, ConnectionActivate.self, ConnectionDeactivate.self, ConnectionDelete.self,
    ])
}

struct ConnectionList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists connections: active, inactive, unhealthy or stopped, why and since when.",
    discussion: "Example: sluice connection list -o json")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let connections = try await metadata.read { try await $0.connections() }
      try common.output.list(
        connections.map(\.record), columns: Connection.columns,
        empty: "there are no connections; register one with: sluice connection register")
    }
  }
}

struct ConnectionShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows a connection; its secret is never printed.",
    discussion: "Example: sluice connection show prod")

  @Argument(help: "The connection.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let (target, unplaced) = try await metadata.read { session in
        let target = try await session.connection(named: name)
        return (target, try await session.unplacedAudiences(of: target.id))
      }
      var record = target.record
      let audiences = unplaced.map { audience -> OutputValue in
        let fields: OutputRecord = [
          "policies": .texts(audience.policies), "access": .text(audience.access), "users": .count(audience.users),
          "data_sources": .count(audience.tables),
        ]
        return .record(fields)
      }
      record.fields.append(.init(name: "unplaced_audiences", value: .list(audiences)))
      try common.output.item(record)
    }
  }
}

struct ConnectionActivate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "activate", abstract: "Makes an inactive connection active again: synced, and granted afresh.",
    discussion: "Example: sluice connection activate prod")

  @Argument(help: "The connection.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let jobs = try await metadata.transaction { session in
        let target = try await session.connection(named: name)
        if target.state == .deleting { throw MetadataError(.refused, "connection \(name) is being deleted") }
        guard target.state != .active else { return [SubmittedJob]() }
        try await session.setState(of: target.id, to: .active, reason: nil)
        try await session.audit(AuditEntry(actor: Operator.name, action: "connection activate", connection: name))
        return try await session.submitReturn(to: target.id)
      }
      try common.output.done(
        "connection \(name) is active; \(jobs.count) jobs", ["name": .text(name), "jobs": .count(jobs.count)])
    }
  }
}

struct ConnectionDeactivate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "deactivate", abstract: "Revokes everything that Sluice granted there; subscriptions are kept.",
    discussion: "Example: sluice connection deactivate prod")

  @Argument(help: "The connection.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let jobs = try await metadata.transaction { session in
        let target = try await session.connection(named: name)
        if target.state == .deleting { throw MetadataError(.refused, "connection \(name) is being deleted") }
        guard target.state != .inactive else { return [SubmittedJob]() }
        try await session.setState(of: target.id, to: .inactive, reason: "deactivated by \(Operator.name)")
        try await session.audit(AuditEntry(actor: Operator.name, action: "connection deactivate", connection: name))
        return try await session.submitLeave(of: target.id)
      }
      try common.output.done(
        "connection \(name) is inactive; \(jobs.count) jobs revoke what Sluice granted",
        ["name": .text(name), "jobs": .count(jobs.count)])
    }
  }
}
