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
    try await common.settingOptions.withMetadata { metadata, _ in
      if dryRun { return try await tell(metadata) }
      let jobs = try await metadata.transaction { session in
        let target = try await session.connection(named: name)
        try await session.setState(of: target.id, to: .deleting, reason: "deleted by \(Operator.name)")
        try await session.audit(
          AuditEntry(
            actor: Operator.name, action: "connection delete", connection: name, detail: ["force": "\(force)"]))
        if force {
          try await session.finishDeletion(of: target.id)
          return [SubmittedJob]()
        }
        return try await session.submitLeave(of: target.id)
      }
      let sentence = force ? "connection \(name) is deleted" : "connection \(name) is deleted by \(jobs.count) jobs"
      try common.output.done(
        sentence,
        [
          "name": .text(name), "jobs": .list(jobs.map { .integer($0.id) }),
          "state": .text(force ? "deleted" : "deleting"),
        ])
    }
  }

  private func tell(_ metadata: MetadataDatabase) async throws {
    let records = try await metadata.read { session in
      let target = try await session.connection(named: name)
      return try await session.managedRoles(of: target.id).map { role -> OutputRecord in
        ["role": .text(role.role), "kind": .text(role.kind.rawValue), "dropped": .bool(role.made)]
      }
    }
    try common.output.list(records, empty: "nothing was granted through \(name)")
  }
}
