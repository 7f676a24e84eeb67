import Governance
import Metadata
import Platform
import Postgres

/// Runs subscribe and revoke jobs of a database lane: lock, read the desired state, read the catalog, apply the
/// difference, read the catalog back, commit.
struct DatabaseRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let database: Int64
  let worker: String

  func run(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    let outcome = try await session.transaction(deadline: .after(LaneRun.longestRun)) { session in
      try await LaneLock.take(.database, in: session)
      return try await reconcile(jobs, in: session)
    }
    try await recordCommitted(outcome, jobs)
    try await followUp(jobs, outcome)
    return jobs.map { outcome.result(of: $0) }
  }

  private func reconcile(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> DatabaseOutcome {
    let roles = try await metadata.read { try await JobRoles.of(jobs, connection: connection.id, $0) }
    let inputs = try await read(Extent.of(jobs, roles), in: session)
    let plan = GrantPlan.diff(inputs)
    var outcome = DatabaseOutcome(inputs: inputs, plan: plan, names: roles)
    let names = try await GrantStatements.Names.read(
      Set(plan.revokes.union(plan.grants).map(\.securable)), in: session)
    var application = Application(session: session, names: names)
    try await application.carryOut(.revoke, GrantRectangle.rectangles(covering: plan.revokes).reversed())
    var made = try await grant(plan.grants, &application, &outcome, in: session)
    // The roles lane drops an audience that nothing asks for; something may ask for it again at that moment, and find
    // the role still there when it is looked for and gone when it is granted to.
    let vanished = application.takeVanished()
    if !vanished.isEmpty { made.formUnion(try await grant(vanished, &application, &outcome, in: session)) }
    outcome.note(application)
    try await verify(&outcome, in: session)
    outcome.residual = try await ResidualAccess.afterRevokes(jobs, outcome, in: session)
    try await recordBeforeCommit(outcome, made)
    return outcome
  }

  /// Makes the roles that are missing, and grants; returns the roles that it made.
  private func grant(
    _ grants: Set<Grant>, _ application: inout Application, _ outcome: inout DatabaseOutcome,
    in session: PostgresConnection
  ) async throws -> Set<String> {
    let roles = outcome.inputs.rolesToGrantTo(GrantPlan(grants: grants))
    let made = try await TargetRoles(session: session).makeMissing(roles)
    outcome.noteRoles(made)
    let grantable = grants.filter { made.failures[$0.grantee] == nil }
    try await application.carryOut(.grant, GrantRectangle.rectangles(covering: grantable))
    return made.made
  }

  /// Reads the catalog again: what is still missing, or still there, has failed, whatever the server answered.
  private func verify(_ outcome: inout DatabaseOutcome, in session: PostgresConnection) async throws {
    guard !outcome.plan.isEmpty else { return }
    let changed = outcome.plan.grants.union(outcome.plan.revokes)
    let relations = changed.filter { $0.securable.family == .table || $0.securable.family == .sequence }
    let after = try await ObservedState.read(
      roles: Set(changed.map(\.grantee)), relations: Set(relations.map(\.securable.oid)), in: session)
    outcome.verify(against: after)
  }

  /// What must be known of however the COMMIT ends: a grant that nobody remembers would never be taken back.
  private func recordBeforeCommit(_ outcome: DatabaseOutcome, _ made: Set<String>) async throws {
    let kinds = outcome.inputs.roleKinds
    let roles = Set(outcome.plan.grants.map(\.grantee.value)).union(made).map {
      ManagedRole(role: $0, kind: kinds[$0] ?? .user, made: made.contains($0))
    }
    let given = outcome.given
    guard !roles.isEmpty || !given.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.note(roles, of: connection.id)
      try await metadata.noteGiven(given, of: connection.id)
    }
  }

  /// What is true only once the target has committed: a revoke that was rolled back must find its grants again.
  private func recordCommitted(_ outcome: DatabaseOutcome, _ jobs: [ClaimedJob]) async throws {
    let taken = outcome.taken
    guard !taken.isEmpty || !outcome.statements.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.forgetTaken(taken, of: connection.id, asOf: outcome.inputs.remembered.asOf)
      guard !outcome.statements.isEmpty else { return }
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "apply", connection: connection.name, job: jobs.first?.id,
          detail: ["statements": outcome.statementText, "count": "\(outcome.statements.count)"]))
    }
  }

  /// Submits what the run found out to be needed: a sync where relations are gone, the retirement of audiences that
  /// nothing asks for any more.
  private func followUp(_ jobs: [ClaimedJob], _ outcome: DatabaseOutcome) async throws {
    let audiences = jobs.filter { $0.scope.subject == .audience }.compactMap(\.scope.audience)
    let isStale = outcome.failures.values.contains { $0.kind == .gone } || !outcome.missingRelations.isEmpty
    let isLeaving = jobs.contains { $0.scope.subject == .leave }
    let emptied = Set(outcome.plan.revokes.map(\.grantee.value)).filter { outcome.inputs.managed[$0] == .audience }
    guard !audiences.isEmpty || !emptied.isEmpty || isStale || isLeaving else { return }
    try await metadata.transaction { metadata in
      var requests: [JobRequest] = []
      let roles = try await metadata.lane(.roles, of: connection.id).id
      let obsolete = try await metadata.obsoleteAudiences(
        of: connection.id, among: audiences, roles: Array(emptied))
      for role in obsolete {
        requests.append(JobRequest(lane: roles, kind: .revoke, jobClass: .bulk, scope: .retirement(role)))
      }
      if isStale {
        let lane = try await metadata.lane(ofDatabase: database).id
        requests.append(JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .database(database)))
      }
      if isLeaving { requests.append(JobRequest(lane: roles, kind: .revoke, jobClass: .revoke, scope: .leave)) }
      _ = try await metadata.submit(requests)
    }
  }
}

extension MetadataSession {
  /// Roles of those of the audiences that do without one, or have neither members nor data sources left.
  func obsoleteAudiences(of connectionID: Int64, among ids: [Int64] = [], roles: [String]) async throws -> [String] {
    try await connection.query(
      """
      select role from audience a
      where connection_id = $1 and (id = any ($2) or role = any ($3))
        and (form in ('direct', 'unplaced')
          or not exists (select from audience_member where audience_id = a.id)
            and not exists (select from audience_securable where audience_id = a.id))
      """, [.int8(connectionID), .int8Array(ids), .textArray(roles)]
    ).rows.map { try $0.text("role") }
  }
}
