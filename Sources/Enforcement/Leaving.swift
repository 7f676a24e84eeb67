import Governance
import Metadata
import Platform
import Postgres

/// How far a connection's leaving has come.
enum Leaving: Sendable {
  /// What stays behind in the target, in words.
  case done(leftovers: [String])
  /// A database is still being left.
  case waiting
  /// A database could not be left; the job that leaves it asks for the rest again when it is retried.
  case blocked(String, remedy: String)

  /// How often it is looked whether the last database has been left.
  private static let poll: Duration = .seconds(5)

  /// The result of a job that leaves; nil if it is that of the run.
  func result(of job: ClaimedJob) -> JobResult? {
    switch self {
    case .done: nil
    case .waiting: JobResult(id: job.id, outcome: .snoozed(Self.poll))
    case .blocked(let reason, let remedy):
      JobResult(id: job.id, outcome: .discarded, error: reason, remedy: remedy)
    }
  }
}

/// Leaving a target for good: once every database has been left, the roles that Sluice made are dropped, and then the
/// connection is gone. Not while a database is still being left, and not while one could not be: its grants would stay
/// behind with nobody who knows of them.
extension RolesRun {
  /// - Parameter outcome: the run's, to which what is dropped and what stays is added
  func leave(_ outcome: inout RolesOutcome, in session: PostgresConnection) async throws -> Leaving {
    guard try await isDeleting() else { return .done(leftovers: []) }
    try await visitNewDatabases(in: session)
    let last = try await metadata.read { try await $0.lastLeaves(of: connection.id) }
    if let failed = last.first(where: { $0.state == .discarded || $0.state == .cancelled }) {
      return try await block(
        "database \"\(failed.database)\" could not be left: \(failed.error ?? "job was cancelled")",
        failed.job)
    }
    guard last.allSatisfy(\.state.isFinal) else { return .waiting }
    try await dropAll(&outcome, in: session)
    let leftovers = outcome.leftovers
    try await metadata.transaction { metadata in
      try await metadata.finishDeletion(of: connection.id, leftovers: leftovers)
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "connection delete", connection: connection.name,
          detail: leftovers.isEmpty ? [:] : ["leftovers": leftovers.joined(separator: "\n")]))
    }
    return .done(leftovers: leftovers)
  }

  /// Its state is read under the lane's lease: it may have changed since the lane was opened. It never changes back.
  private func isDeleting() async throws -> Bool {
    try await metadata.read { try await $0.connection(id: connection.id).state } == .deleting
  }

  private func block(_ reason: String, _ job: Int64) async throws -> Leaving {
    try await metadata.transaction { try await $0.noteLeaving(of: connection.id, reason) }
    return .blocked(
      reason,
      remedy: "mend that, then: sluice job retry \(job); or: sluice connection delete \(connection.name) --force")
  }

  /// A database that no sync has seen may be a copy of one with grants in it (CREATE DATABASE … TEMPLATE), or may have
  /// been closed at the last one.
  private func visitNewDatabases(in session: PostgresConnection) async throws {
    // Before the first sync nothing was granted anywhere.
    guard connection.syncedAt != nil else { return }
    try await metadata.transaction { metadata in
      let lane = try await metadata.lane(.roles, of: connection.id)
      try await metadata.lock(lane: lane.id)
      let known = try await metadata.databaseOIDs(of: connection.id)
      _ = try await metadata.syncDatabases(
        of: connection.id, found: try await CatalogCrawl.databases(known: known, in: session))
      try await metadata.submitMissingLeaves(of: connection.id)
    }
  }

  /// Everything that Sluice made, the policy role last: it made the audiences.
  private func dropAll(_ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    let (made, installation) = try await metadata.read {
      (try await $0.managedRoles(of: connection.id).filter(\.made), try await $0.installation())
    }
    let manager = try PolicyRole.name(installation: installation, connection: connection.id)
    let audiences = made.filter { $0.kind == .audience }
    for roles in [audiences, made.filter { $0.kind == .user }] {
      for start in stride(from: 0, to: roles.count, by: Self.rolesATransaction) {
        let part = Array(roles[start..<min(start + Self.rolesATransaction, roles.count)])
        outcome.note(try await dropAlone(part, outcome.naming, in: session))
      }
    }
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    if case .ours = try await roles.marks(of: [manager])[manager] {
      let last = ManagedRole(role: manager.value, kind: .audience, made: true)
      outcome.note(try await dropAlone([last], outcome.naming, in: session))
    }
  }

  /// Drops roles in a transaction of their own.
  private func dropAlone(
    _ roles: [ManagedRole], _ naming: TargetRoles.Naming, in session: PostgresConnection
  ) async throws -> RolesOutcome {
    var start = RolesOutcome(asOf: try await metadata.read { try await $0.now() }, naming: naming)
    // They are in the trail already.
    start.statements = []
    let outcome = try await session.transaction(deadline: .after(LaneRun.longestRun)) { [start] session in
      try await LaneLock.take(.roles, in: session)
      var outcome = start
      try await drop(roles, &outcome, in: session)
      return outcome
    }
    try await recordCommitted(outcome, job: nil)
    return outcome
  }
}
