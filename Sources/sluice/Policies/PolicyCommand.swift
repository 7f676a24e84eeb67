import ArgumentParser
import Governance
import Metadata

struct PolicyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "policy", abstract: "Policies: who may read and write which data sources, as documents.",
    discussion: "Example: sluice policy apply -f policies/ --dry-run",
    subcommands: [PolicyApply.self, PolicyList.self, PolicyShow.self, PolicyDelete.self])
}

struct PolicyApply: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply", abstract: "Brings the policies to what the documents say; the same again changes nothing.",
    discussion: """
      A file may hold several documents, divided by ---. All of them are checked first; if one is faulty, none is \
      applied, and every fault is told with file, line and column.

      Example: sluice policy apply -f policies/ --prune
      """)

  @Option(
    name: .shortAndLong,
    help: .init("A YAML file, a directory of them, or - for standard input.", valueName: "file|dir"))
  var file: String
  @Flag(help: "Also delete the policies that no document defines.") var prune = false
  @Flag(help: "Change nothing; print who would gain and who would lose what.") var dryRun = false
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let policies = try PolicyFiles.read(file)
    try await common.settingOptions.withMetadata { metadata, _ in
      if dryRun { return try await show(policies, metadata) }
      let outcomes = try await metadata.transaction { session in
        var outcomes: [(name: String, change: String)] = []
        for policy in policies { outcomes.append((policy.name, try await session.apply(policy).rawValue)) }
        for name in try await obsolete(policies, session) {
          _ = try await session.removePolicy(named: name)
          outcomes.append((name, "deleted"))
        }
        try await session.noteChanges(of: outcomes)
        return outcomes
      }
      try common.output.list(
        outcomes.map { ["name": .text($0.name), "change": .text($0.change)] }, empty: "no policies")
    }
  }

  private func obsolete(_ policies: [SubscriptionPolicy], _ session: MetadataSession) async throws -> [String] {
    guard prune else { return [] }
    let defined = Set(policies.map(\.name))
    return try await session.policies().map(\.name).filter { !defined.contains($0) }
  }

  private func show(_ policies: [SubscriptionPolicy], _ metadata: MetadataDatabase) async throws {
    let effects = try await metadata.transaction { session in
      let before = try await session.policies()
      let dropped = Set(try await obsolete(policies, session))
      let defined = Set(policies.map(\.name))
      let after = before.filter { !defined.contains($0.name) && !dropped.contains($0.name) } + policies
      return try await PolicyPreview(session).effects(from: before, to: after)
    }
    try common.output.list(
      effects.map(\.record), empty: "nobody gains or loses anything by policy")
  }
}

struct PolicyList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists the policies.", discussion: "Example: sluice policy list")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let policies = try await metadata.read { try await $0.policies() }
      try common.output.list(policies.map(\.record), empty: "there are no policies")
    }
  }
}

struct PolicyShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows a policy.", discussion: "Example: sluice policy show analysts-read-marketing")

  @Argument(help: "The policy's name.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      try common.output.item(try await metadata.read { try await $0.policy(named: name) }.record)
    }
  }
}

struct PolicyDelete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Deletes a policy; what it alone admitted is revoked by jobs.",
    discussion: "Example: sluice policy delete analysts-read-marketing")

  @Argument(help: "The policy's name.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      try await metadata.transaction { session in
        _ = try await session.policy(named: name)
        _ = try await session.removePolicy(named: name)
        try await session.noteChanges(of: [(name, "deleted")])
      }
      try common.output.done("deleted policy \(name)", ["name": .text(name), "deleted": .bool(true)])
    }
  }
}

extension MetadataSession {
  /// Writes changed policies to the trail and submits their evaluation, if any did change.
  func noteChanges(of outcomes: [(name: String, change: String)]) async throws {
    let changed = outcomes.filter { $0.change != PolicyChange.unchanged.rawValue }
    guard !changed.isEmpty else { return }
    try await audit(
      changed.map { AuditEntry(actor: Operator.name, action: "policy \($0.change)", detail: ["policy": $0.name]) })
    try await submitEvaluations()
  }
}

extension SubscriptionPolicy {
  var record: OutputRecord {
    [
      "name": .text(name), "effect": .text(effect.rawValue), "access": .text(access.rawValue),
      "state": .text(state.rawValue),
      "target": .record(
        [
          "connection": .texts(target.connection.map(\.pattern)), "database": .texts(target.database.map(\.pattern)),
          "schema": .texts(target.schema.map(\.pattern)), "table": .texts(target.table.map(\.pattern)),
          "tags": .texts(target.tags.map(\.pattern)),
        ] as OutputRecord),
      "condition": .text(condition.source), "expires": .optional(expires?.description),
    ]
  }
}
