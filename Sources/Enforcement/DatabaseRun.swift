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
    let outcome = try await session.transaction { session in
      try await LaneLock.take(.database, in: session)
      return try await reconcile(jobs, in: session)
    }
    try await followUp(jobs, outcome)
    return jobs.map { outcome.result(of: $0) }
  }

  private func reconcile(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> DatabaseOutcome {
    let extent = try await metadata.read { try await Extent.of(jobs, connection: connection.id, $0) }
    let inputs = try await read(extent, in: session)
    let plan = GrantPlan.diff(inputs)
    var outcome = DatabaseOutcome(connection: connection, inputs: inputs, plan: plan)
    outcome.names = try await metadata.read { try await JobRoles.of(jobs, connection: connection.id, $0) }
    let names = try await GrantStatements.Names.read(
      Set(plan.revokes.union(plan.grants).map(\.securable)), in: session)
    var application = Application(session: session, names: names)
    try await application.carryOut(.revoke, GrantRectangle.rectangles(covering: plan.revokes).reversed())
    let made = try await TargetRoles(session: session).makeMissing(inputs.rolesToGrantTo(plan))
    outcome.noteRoles(made)
    let grantable = plan.grants.filter { made.failures[$0.grantee] == nil }
    try await application.carryOut(.grant, GrantRectangle.rectangles(covering: grantable))
    outcome.note(application)
    try await verify(&outcome, in: session)
    outcome.residual = try await ResidualAccess.afterRevokes(jobs, outcome, in: session)
    try await record(outcome, made.made, jobs)
    return outcome
  }

  /// Reads desired and observed state for an extent. The order matters: the lock is held, so whatever is read here is
  /// at least as new as every job of the batch.
  func read(_ extent: Extent, in session: PostgresConnection) async throws -> GrantPlan.Inputs {
    let known = try await metadata.read { metadata in
      let managed = try await metadata.managedRoles(of: connection.id)
      let oids = try await metadata.securablesByOID(database: database)
      return (managed: Dictionary(uniqueKeysWithValues: managed.map { ($0.role, $0.kind) }), oids: oids)
    }
    let wholeOIDs = Set(known.oids.filter { extent.wholeSecurables.contains($0.value) || extent.isEverything }.keys)
    var roles = extent.roles
    if extent.isEverything { roles.formUnion(known.managed.keys) }
    if !wholeOIDs.isEmpty {
      let grantees = try await session.query(
        statement(PackageResources.securable_grantees_sql),
        [.int8Array(wholeOIDs.map(Int64.init)), .textArray(Array(known.managed.keys))])
      roles.formUnion(try grantees.rows.map { try $0.text("role") })
    }
    var desired = try await desiredAccesses(roles, extent)
    let onlyOnSecurables = Set(desired.accesses.map(\.role.value)).subtracting(roles)
    if !onlyOnSecurables.isEmpty {
      // Roles that are wanted on a whole securable: all that they should have, because of the prerequisites.
      roles.formUnion(onlyOnSecurables)
      desired = try await desiredAccesses(roles, extent)
    }
    let roleNames = Set(roles.compactMap { try? RoleName($0) })  // best effort: invalid names are in `desired`
    let pairOIDs = known.oids.filter { id in extent.pairs.contains { $0.securable == id.value } }.keys
    let touched = Set(desired.accesses.map(\.oid)).union(wholeOIDs).union(pairOIDs)
    let observed = try await ObservedState.read(roles: roleNames, relations: touched, in: session)
    let catalog = try await CatalogFacts.read(
      touched.union(observed.ours.filter { $0.securable.family == .table }.map(\.securable.oid)), in: session)
    var managed = known.managed
    for access in desired.accesses { managed[access.role.value] = access.roleKind }
    for pair in extent.pairs where managed[pair.role] == nil { managed[pair.role] = .user }
    return GrantPlan.Inputs(
      extent: extent, desired: desired, observed: observed, catalog: catalog, securables: known.oids,
      managed: managed, managedPairs: try await managedPairs(roles, desired))
  }

  /// What Sluice granted to these users' roles before, and what it should grant them now.
  private func managedPairs(_ roles: Set<String>, _ desired: DesiredState) async throws -> Set<Extent.Pair> {
    let granted = try await metadata.read { try await $0.managedGrants(of: connection.id, roles: Array(roles)) }
    let wanted = desired.accesses.map { Extent.Pair(role: $0.role.value, securable: $0.securable) }
    return Set(granted.map { Extent.Pair(role: $0.role, securable: $0.securable) } + wanted)
  }

  private func desiredAccesses(_ roles: Set<String>, _ extent: Extent) async throws -> DesiredState {
    try await metadata.read {
      try await $0.desiredAccesses(
        database: database, roles: roles, securables: extent.wholeSecurables, everything: extent.isEverything)
    }
  }

  /// Reads the catalog again: what is still missing, or still there, has failed, whatever the server answered.
  private func verify(_ outcome: inout DatabaseOutcome, in session: PostgresConnection) async throws {
    guard !outcome.plan.isEmpty else { return }
    let roles = Set(outcome.plan.grants.union(outcome.plan.revokes).map(\.grantee))
    let relations = Set(
      outcome.plan.grants.union(outcome.plan.revokes).filter {
        $0.securable.family == .table || $0.securable.family == .sequence
      }.map(\.securable.oid))
    let after = try await ObservedState.read(roles: roles, relations: relations, in: session)
    outcome.verify(against: after)
  }

  private func record(_ outcome: DatabaseOutcome, _ made: Set<String>, _ jobs: [ClaimedJob]) async throws {
    let granted = outcome.plan.grants.map(\.grantee.value)
    let kinds = outcome.inputs.roleKinds
    let roles = Set(granted).union(made).map {
      ManagedRole(role: $0, kind: kinds[$0] ?? .user, made: made.contains($0))
    }
    guard !roles.isEmpty || !outcome.statements.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.note(roles, of: connection.id)
      let (given, taken) = outcome.directGrants
      try await metadata.noteGrants(given: given, taken: taken, of: connection.id)
      if !outcome.statements.isEmpty {
        try await metadata.audit(
          AuditEntry(
            actor: worker, action: "apply", connection: connection.name, job: jobs.first?.id,
            detail: ["statements": outcome.statementText, "count": "\(outcome.statements.count)"]))
      }
    }
  }

  /// Submits what the run found out to be needed: a sync where relations are gone, the retirement of audiences that
  /// nothing asks for any more.
  private func followUp(_ jobs: [ClaimedJob], _ outcome: DatabaseOutcome) async throws {
    let audiences = jobs.filter { $0.scope.subject == .audience }.compactMap(\.scope.audience)
    let isStale = outcome.failures.values.contains { $0.kind == .gone } || !outcome.missingRelations.isEmpty
    let isLeaving = jobs.contains { $0.scope.subject == .leave }
    guard !audiences.isEmpty || isStale || isLeaving else { return }
    try await metadata.transaction { metadata in
      var requests: [JobRequest] = []
      let roles = try await metadata.lane(.roles, of: connection.id).id
      for role in try await metadata.obsoleteAudiences(among: audiences) {
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

extension GrantPlan.Inputs {
  /// The kind of each role that should have something.
  var roleKinds: [String: ManagedRole.Kind] {
    Dictionary(desired.accesses.map { ($0.role.value, $0.roleKind) }, uniquingKeysWith: { first, _ in first })
  }

  func rolesToGrantTo(_ plan: GrantPlan) -> [RoleName: ManagedRole.Kind] {
    let kinds = roleKinds
    return Dictionary(
      plan.grants.map { ($0.grantee, kinds[$0.grantee.value] ?? .user) }, uniquingKeysWith: { first, _ in first })
  }
}

extension MetadataSession {
  /// Every relation of a database by OID: those in the tree, and those that left it with direct grants of ours.
  func securablesByOID(database: Int64) async throws -> [UInt32: Int64] {
    let rows = try await connection.query(
      """
      select id, oid from securable s
      where database_id = $1 and kind not in ('database', 'schema')
        and (dropped_at is null or exists (select from managed_grant g where g.securable_id = s.id))
      order by dropped_at desc nulls first
      """, [.int8(database)]
    ).rows
    return try Dictionary(
      rows.map { (UInt32(truncatingIfNeeded: try $0.int("oid")), try $0.int("id")) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Roles of the audiences that have neither members nor data sources left.
  func obsoleteAudiences(among ids: [Int64]) async throws -> [String] {
    try await connection.query(
      """
      select role from audience a
      where id = any ($1) and not exists (select from audience_member where audience_id = a.id)
        and not exists (select from audience_securable where audience_id = a.id)
      """, [.int8Array(ids)]
    ).rows.map { try $0.text("role") }
  }
}
