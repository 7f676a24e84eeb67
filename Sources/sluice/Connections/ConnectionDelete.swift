import ArgumentParser
import Enforcement
import Metadata

struct ConnectionDelete: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Revokes what Sluice granted, drops the roles it made, and forgets a connection.",
    discussion: """
      The connection is gone once the jobs are done. --force forgets it at once and leaves grants and roles in the \
      target as they are, for an instance that no longer exists.

      Example: sluice connection delete prod --dry-run
      """)

  @Argument(help: "The connection.") var name: String
  @Flag(help: "Forget it at once, without touching the target.") var force = false
  @Flag(help: "Change nothing; tell what would be revoked and dropped.") var dryRun = false
  @OptionGroup var common: CommonOptions

  func run() async throws {
    if dryRun { return try await tell() }
    try await common.settingOptions.withMetadata { metadata, _ in
      let (jobs, left) = try await metadata.transaction { session in
        let target = try await session.connection(named: name)
        let made = force ? try await session.managedRoles(of: target.id).map(\.role) : []
        try await session.setState(of: target.id, to: .deleting, reason: "deleted by \(Operator.name)")
        try await session.audit(
          AuditEntry(
            actor: Operator.name, action: "connection delete", connection: name,
            detail: force ? ["force": "true", "leftovers": made.joined(separator: "\n")] : ["force": "false"]))
        guard force else { return (try await session.submitLeave(of: target.id), [String]()) }
        try await session.finishDeletion(of: target.id, leftovers: made.map(Self.leftover))
        return ([], made)
      }
      try common.output.done(
        force ? Self.sentence(name, left) : "connection \(name) is deleted by \(jobs.count) jobs",
        [
          "name": .text(name), "jobs": .list(jobs.map { .integer($0.id) }),
          "state": .text(force ? "deleted" : "deleting"), "left": .texts(left),
        ])
    }
  }

  private static func leftover(_ role: String) -> String { "role \"\(role)\" and what was granted to it" }

  /// With what stays behind in the target: the first few of it.
  private static func sentence(_ name: String, _ left: [String]) -> String {
    guard !left.isEmpty else { return "connection \(name) is deleted" }
    let named = left.prefix(10).map { "\"\($0)\"" }.joined(separator: ", ")
    let others = left.count > 10 ? " and \(left.count - 10) others" : ""
    return "connection \(name) is deleted; in the target stay what was granted to \(named)\(others), and these roles"
  }

  private func tell() async throws {
    if force { return try await tellLeftovers() }
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let target = try await metadata.read { try await $0.connection(named: name) }
      let plan = try await settings.withTargets(metadata) { targets in
        try await Planner(metadata: metadata, targets: targets).planLeave(target)
      }
      var records: [OutputRecord] = []
      for place in plan.revokes {
        records += place.statements.map { Self.record(place.database, "revoked", $0) }
      }
      records += plan.drops.map { Self.record(nil, "dropped", $0) }
      records += plan.kept.sorted { $0.key < $1.key }.map { Self.record(nil, "kept", $0.key, $0.value) }
      try common.output.list(records, empty: "nothing was granted through \(name)")
    }
  }

  /// The instance may be gone: it is not asked.
  private func tellLeftovers() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let roles = try await metadata.read { session in
        try await session.managedRoles(of: try await session.connection(named: name).id).map(\.role)
      }
      try common.output.list(
        roles.map { Self.record(nil, "kept", $0, "the target is not touched") },
        empty: "nothing was granted through \(name)")
    }
  }

  private static func record(_ database: String?, _ fate: String, _ what: String, _ why: String? = nil) -> OutputRecord
  {
    ["database": .optional(database), "fate": .text(fate), "what": .text(what), "why": .optional(why)]
  }
}
