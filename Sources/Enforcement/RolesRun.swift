import Governance
import Metadata
import Platform
import Postgres

/// Runs the jobs of a roles lane: who is a member of which audience, and which roles are dropped. Membership changes
/// and role drops happen nowhere else, because concurrent ones leave dangling rows behind (GRANTS.md d-1).
struct RolesRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let worker: String

  func run(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    let outcome = try await session.transaction(deadline: .after(LaneRun.longestRun)) { session in
      try await LaneLock.take(.roles, in: session)
      return try await reconcile(jobs, in: session)
    }
    try await recordCommitted(outcome, jobs)
    try await finishJoining(outcome)
    let isLeaving = jobs.contains { $0.scope.subject == .leave }
    let leaving = isLeaving ? try await finishLeaving(outcome) : .done
    return jobs.map { job in
      (job.scope.subject == .leave ? leaving.result(of: job) : nil) ?? outcome.result(of: job)
    }
  }

  /// What should be and what is, of the audiences and roles that the jobs name.
  struct Memberships: Sendable {
    var desired: [RoleName: Set<RoleName>] = [:]
    var observed: [RoleName: Set<RoleName>] = [:]
    /// Members whose names PostgreSQL cannot take, by audience, with the reason.
    var invalid: [RoleName: [String: String]] = [:]

    var diff: MembershipDiff { MembershipDiff(desired: desired, observed: observed) }
  }

  private func reconcile(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> RolesOutcome {
    let (asOf, names) = try await metadata.read {
      (try await $0.now(), try await JobRoles.of(jobs, connection: connection.id, $0))
    }
    let memberships = try await read(jobs, in: session)
    let diff = memberships.diff
    var outcome = RolesOutcome(asOf: asOf, names: names, invalidMembers: memberships.invalid)
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    let foreign = try await roles.foreign(among: Set(diff.revokes.map(\.role)))
    outcome.refuse(foreign)
    for change in diff.revokes where !foreign.contains(change.role) {
      try await revoke(change, &outcome, in: session)
    }
    let made = try await roles.makeMissing(diff.rolesToGrantTo)
    outcome.note(made)
    for change in diff.grants { try await grant(change, made, &outcome, in: session) }
    try await verify(memberships, &outcome, in: session)
    for role in jobs.filter({ $0.scope.subject == .retirement }).compactMap(\.scope.role) {
      try await retire(role, &outcome, in: session)
    }
    if jobs.contains(where: { $0.scope.subject == .leave }) { try await dropAll(&outcome, in: session) }
    try await recordBeforeCommit(diff, outcome)
    return outcome
  }

  /// Reads the memberships that jobs are about; nil names every audience of the connection (a plan, leaving).
  func read(_ jobs: [ClaimedJob]?, in session: PostgresConnection) async throws -> Memberships {
    let ids = jobs?.filter { $0.scope.subject == .audience }.compactMap(\.scope.audience)
    let grantees = jobs?.filter { $0.scope.subject == .grantee }.compactMap(\.scope.role) ?? []
    let isEverything = jobs?.contains { $0.scope.subject == .everything || $0.scope.subject == .leave } ?? true
    let rows = try await metadata.read { metadata in
      try await metadata.connection.query(
        statement(PackageResources.desired_members_sql),
        [
          .int8(connection.id), .int8Array(ids ?? []), .textArray(grantees), .bool(isEverything),
        ]
      ).rows
    }
    var memberships = Memberships()
    for row in rows {
      let audience = try RoleName(try row.text("role"))
      memberships.desired[audience, default: []] = []
      for member in try row.textArray("members") {
        do { memberships.desired[audience, default: []].insert(try RoleName(member)) } catch {
          memberships.invalid[audience, default: [:]][member] = error.message
        }
      }
    }
    let audiences = Array(memberships.desired.keys)
    let observed = try await session.query(
      statement(
        await session.serverVersion >= 160_000
          ? PackageResources.observed_members_sql : PackageResources.observed_members_15_sql),
      [.textArray(audiences.map(\.value))])
    for row in observed.rows {
      memberships.observed[try RoleName(try row.text("role")), default: []].insert(
        try RoleName(try row.text("member")))
    }
    return memberships
  }

  private func revoke(
    _ change: MembershipChange, _ outcome: inout RolesOutcome, in session: PostgresConnection
  ) async throws {
    try await run(try GrantStatements.render(removing: change), change, &outcome, in: session)
  }

  private func grant(
    _ change: MembershipChange, _ made: TargetRoles.Outcome, _ outcome: inout RolesOutcome,
    in session: PostgresConnection
  ) async throws {
    let members = change.members.filter { made.failures[$0] == nil }
    guard !members.isEmpty, made.failures[change.role] == nil else { return }
    let possible = MembershipChange(role: change.role, members: members)
    let sql = try GrantStatements.render(adding: possible, serverVersion: await session.serverVersion)
    try await run(sql, possible, &outcome, in: session)
  }

  /// One statement for many members; where it fails, halves, until the culprit stands alone. A conflict is about the
  /// audience's own row: no half would fare better.
  private func run(
    _ sql: String, _ change: MembershipChange, _ outcome: inout RolesOutcome, in session: PostgresConnection
  ) async throws {
    do {
      _ = try await session.savepoint { try await $0.query(sql) }
      outcome.statements.append(sql)
    } catch let error as PostgresError {
      guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled else { throw error }
      guard change.members.count > 1, !error.isConflict else {
        for member in change.members { outcome.failures[change.role, default: [:]][member] = Failure(error) }
        return
      }
      let middle = change.members.count / 2
      for half in [change.members[..<middle], change.members[middle...]] {
        let part = MembershipChange(role: change.role, members: Array(half))
        let isGrant = sql.hasPrefix("GRANT")
        let text =
          isGrant
          ? try GrantStatements.render(adding: part, serverVersion: await session.serverVersion)
          : try GrantStatements.render(removing: part)
        try await run(text, part, &outcome, in: session)
      }
    }
  }

  private func verify(
    _ before: Memberships, _ outcome: inout RolesOutcome, in session: PostgresConnection
  ) async throws {
    let diff = before.diff
    outcome.members = before.observed
    guard !diff.isEmpty else { return }
    let after = try await session.query(
      statement(
        await session.serverVersion >= 160_000
          ? PackageResources.observed_members_sql : PackageResources.observed_members_15_sql),
      [.textArray(before.desired.keys.map(\.value))])
    var members: [RoleName: Set<RoleName>] = [:]
    for row in after.rows {
      members[try RoleName(try row.text("role")), default: []].insert(try RoleName(try row.text("member")))
    }
    outcome.members = members
    outcome.verify(diff, after: members)
  }

  /// Once everybody who should be a member of an audience was read back as one, its members need no grants of their own.
  private func finishJoining(_ outcome: RolesOutcome) async throws {
    let joining = try await metadata.read { try await $0.joiningAudiences(of: connection.id) }
    guard !joining.isEmpty else { return }
    let pairs = joining.flatMap { role in outcome.joined(role).map { (role: role, member: $0) } }
    try await metadata.transaction {
      try await $0.finishJoining(
        of: connection.id, roles: joining, audiences: pairs.map(\.role), members: pairs.map(\.member))
    }
  }

  /// Audiences are noted when somebody becomes a member; users' roles when something is granted to them directly, or
  /// when Sluice makes them.
  private func recordBeforeCommit(_ diff: MembershipDiff, _ outcome: RolesOutcome) async throws {
    let audiences = Set(diff.grants.map(\.role)).filter { outcome.roleFailures[$0] == nil }
    guard !audiences.isEmpty else { return }
    let roles = audiences.map { ManagedRole(role: $0.value, kind: .audience, made: true) }
    try await metadata.transaction { try await $0.note(roles, of: connection.id) }
  }

  /// What is true only once the target has committed: a role whose drop was rolled back must be found again.
  private func recordCommitted(_ outcome: RolesOutcome, _ jobs: [ClaimedJob]) async throws {
    guard !outcome.statements.isEmpty || !outcome.dropped.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.noteDropped(outcome.dropped, of: connection.id, asOf: outcome.asOf)
      for role in outcome.dropped { try await metadata.removeAudience(role: role, of: connection.id) }
      guard !outcome.statements.isEmpty else { return }
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "apply", connection: connection.name, job: jobs.first?.id,
          detail: ["statements": outcome.statementText, "count": "\(outcome.statements.count)"]))
    }
  }
}

extension MembershipDiff {
  /// The roles that have to be there before it can be carried out.
  var rolesToGrantTo: [RoleName: ManagedRole.Kind] {
    var roles: [RoleName: ManagedRole.Kind] = [:]
    for member in grants.flatMap(\.members) { roles[member] = .user }
    for change in grants { roles[change.role] = .audience }
    return roles
  }
}
