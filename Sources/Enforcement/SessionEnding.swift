import Governance
import Metadata
import Platform
import Postgres

/// Ends the sessions that roles have open in a database: what is refused to their next statement, an open cursor goes on
/// to return.
struct SessionEnding: Sendable {
  /// Of a role.
  struct Outcome: Sendable {
    var ended = 0
    /// Why sessions go on, in words.
    var left: [String] = []
  }

  let session: PostgresConnection

  /// How long it is waited for sessions that were told to end; each rolls back first.
  private static let patience: Duration = .seconds(2)
  private static let look: Duration = .milliseconds(20)
  /// How often a job that ends sessions asks whether everything else has been taken from the role.
  static let poll: Duration = .milliseconds(500)

  func end(_ roles: Set<String>) async throws -> [String: Outcome] {
    var outcomes: [String: Outcome] = [:]
    let rows = try await open(roles)
    for row in rows {
      let role = try RoleName(try row.text("role"))
      let count = Int(try row.int("sessions"))
      var outcome = Outcome()
      do {
        outcome.ended = try await row.bool("may_end") ? end(role) : endAsMember(of: role)
      } catch let error as PostgresError where error.code == .server {
        outcome.left.append(
          "\(count) sessions of role \"\(role)\" go on: \(error.message). Sluice's role needs "
            + "pg_signal_backend, or ADMIN on that role; of superusers nobody else ends sessions")
      }
      outcomes[role.value] = outcome
    }
    try await wait(for: outcomes.filter { $0.value.ended > 0 }, &outcomes)
    return outcomes
  }

  private func open(_ roles: Set<String>) async throws -> [PostgresRow] {
    try await session.query(statement(PackageResources.open_sessions_sql), [.textArray(roles.sorted())]).rows
  }

  private func end(_ role: RoleName) async throws -> Int {
    Int(
      try await session.query(statement(PackageResources.end_sessions_sql), [.text(role.value)]).rows[0].int("ended"))
  }

  /// The transaction is rolled back: the membership was there for it alone, and nobody else ever saw it.
  private struct Ended: Error { let count: Int }

  /// Whoever may administer a role may make itself its member, and a member may end the role's sessions. Before 16
  /// CREATEROLE is enough, and the membership has no options.
  private func endAsMember(of role: RoleName) async throws -> Int {
    let options = await session.serverVersion < 160_000 ? "" : " WITH INHERIT TRUE"
    let grant = "GRANT \(try PostgresIdentifier(role.value).quoted) TO CURRENT_USER\(options)"
    do {
      try await session.transaction { session -> Void in
        try await session.execute(grant)
        throw Ended(count: try await SessionEnding(session: session).end(role))
      }
      return 0
    } catch let ended as Ended {
      return ended.count
    }
  }

  /// A session ends when it next looks, within a moment as a rule.
  private func wait(for told: [String: Outcome], _ outcomes: inout [String: Outcome]) async throws {
    guard !told.isEmpty else { return }
    let limit = Deadline.after(Self.patience)
    while true {
      let rows = try await open(Set(told.keys))
      if rows.isEmpty { return }
      guard limit.hasPassed else {
        // no event: the server tells nobody that another session has ended
        try await Task.sleep(for: Self.look)
        continue
      }
      for row in rows {
        let (role, count) = (try row.text("role"), try row.int("sessions"))
        outcomes[role]?.left.append(
          "\(count) sessions of role \"\(role)\" are there still: they were told to end, or began since")
      }
      return
    }
  }
}

extension DatabaseRun {
  /// Ends the sessions of the roles of jobs that wish it, once what was revoked is committed: here, and in the roles
  /// lane, or whoever connects in between would go on to read.
  func endSessions(
    _ jobs: [ClaimedJob], _ progress: inout DatabaseProgress, in session: PostgresConnection
  ) async throws {
    let wishes = Dictionary(jobs.compactMap { job in progress.endedRole(of: job).map { ($0, job.id) } }) { first, _ in
      first
    }
    progress.losing = try await losing(Set(wishes.keys), in: session)
    let roles = Set(wishes.keys).subtracting(progress.losing)
    guard !roles.isEmpty else { return }
    progress.sessions = try await SessionEnding(session: session).end(roles)
    let told = progress.sessions.sorted { $0.key < $1.key }
    guard !told.isEmpty else { return }
    try await metadata.transaction { metadata in
      let users = try await metadata.users(of: connection.id, roles: Set(told.map(\.key)))
      try await metadata.audit(
        told.map { role, outcome in
          AuditEntry(
            actor: worker, action: "end sessions", connection: connection.name, identity: users[role],
            job: wishes[role],
            detail: ["role": role, "ended": "\(outcome.ended)", "left": outcome.left.joined(separator: "\n")])
        })
    }
  }

  /// Those of the roles that are members of an audience still which a job in the roles lane takes them out of. What no
  /// job takes away is not waited for.
  private func losing(_ roles: Set<String>, in session: PostgresConnection) async throws -> Set<String> {
    guard !roles.isEmpty else { return [] }
    let (lane, began) = try await metadata.read { (try await $0.lane(.roles, of: connection.id), try await $0.now()) }
    let run = RolesRun(metadata: metadata, connection: connection, worker: worker)
    let memberships = try await run.read(grantees: roles.sorted(), in: session)
    let surplus = memberships.diff.revokes.flatMap(\.pairs).filter { pair in
      roles.contains(pair.member.value) && memberships.desired[pair.role]?.contains(pair.member) != true
    }
    guard !surplus.isEmpty else { return [] }
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: began, $0) }
    return Set(surplus.filter(open.explain).map(\.member.value))
  }
}
