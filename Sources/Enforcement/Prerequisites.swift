import Governance
import Metadata
import Postgres

/// USAGE and CONNECT that nothing needs any more: they leave with the last entry that needs them, and not while the role
/// keeps any there.
struct Prerequisites: Sendable {
  var revokes: Set<Grant> = []
  private(set) var names = GrantStatements.Names()
  /// What was read of them, revoked or not.
  private(set) var observed: Set<Grant> = []
  /// What was remembered of them and is not there, or goes now.
  private(set) var forgotten: [ManagedGrant] = []

  private struct Place: Hashable {
    let role: String
    let securable: SecurableOID
  }

  /// - Parameters:
  ///   - roles: that may have some without a use for it
  ///   - revokes: what the roles lose in this transaction, or would lose
  ///   - grants: what would be granted
  ///   - served: what the run has found to be needed already
  static func unused(
    by roles: [String: ManagedRole.Kind], _ run: DatabaseRun, _ agenda: Agenda, revokes: Set<Grant>,
    grants: Set<Grant> = [], served: Set<Grant> = [], in session: PostgresConnection
  ) async throws -> Prerequisites {
    var found = Prerequisites()
    // best effort: a role that PostgreSQL cannot have holds nothing
    let grantees = Set(roles.keys.compactMap { try? RoleName($0) })
    guard !grantees.isEmpty else { return found }
    let names = Set(grantees.map(\.value))
    let schemas = try await RoleHoldings.schemas(of: names, in: session)
    let facts = try await CatalogFacts.read([], schemas: schemas, in: session)
    found.names = facts.names
    let held = try await ObservedState.read(
      roles: grantees, relations: [], schemas: schemas, in: session)
    found.observed = held.ours
    let database = SecurableOID(family: .database, oid: facts.databaseOID)
    let unclear = Set(held.ours.subtracting(served).map(\.grantee.value))
    let (needed, places, remembered, ways) = try await run.metadata.read { metadata in
      let places = try await metadata.places(in: run.database, at: [])
      return (
        run.isLeftForGood || unclear.isEmpty
          ? [:] : try await metadata.desiredSchemas(database: run.database, roles: unclear), places,
        try await metadata.managedGrants(
          of: run.connection.id, roles: Array(names), on: places.prerequisiteIDs),
        run.isLeftForGood ? WaysIn() : try await metadata.waysIn(to: run.database)
      )
    }
    let carried = try await carried(held.ours, roles, ways, beside: grants, in: session)
    let given = Set(remembered.grants.compactMap(places.grant))
    func isNeeded(_ grant: Grant) -> Bool {
      if carried.contains(grant) { return false }
      if ways.grants.contains(grant) || served.contains(grant) { return true }
      guard let schemas = needed[grant.grantee.value] else { return false }
      return grant.securable == database || schemas.contains(grant.securable.oid)
    }
    let idle = held.ours.filter { grant in
      (grant.privilege == .usage || grant.privilege == .connect) && !isNeeded(grant)
        && (roles[grant.grantee.value] == .audience || given.contains(grant))
    }
    let used = try await uses(
      of: idle.subtracting(carried), database, roles, agenda, without: revokes, in: session)
    found.revokes = idle.filter {
      carried.contains($0) || !used.contains(Place(role: $0.grantee.value, securable: $0.securable))
    }
    let kept = held.ours.subtracting(found.revokes)
    found.forgotten = remembered.grants.filter { grant in
      places.grant(grant).map { !kept.contains($0) && !isNeeded($0) } ?? false
    }
    return found
  }

  /// Which of these entries of users an audience carries as well: one that holds the same, with all its members, and of
  /// which the user is a member at this moment.
  private static func carried(
    _ held: Set<Grant>, _ roles: [String: ManagedRole.Kind], _ ways: WaysIn, beside granted: Set<Grant>,
    in session: PostgresConnection
  ) async throws -> Set<Grant> {
    let open = ways.open.filter { $0.value.form == .audience }
    let candidates = held.filter {
      roles[$0.grantee.value] == .user && open[$0.securable]?.grant.privilege == $0.privilege
    }
    guard !candidates.isEmpty else { return [] }
    let audiences = try await ObservedState.read(
      roles: Set(open.values.map(\.role)), relations: [],
      schemas: Set(open.keys.filter { $0.family == .schema }.map(\.oid)), in: session)
    let rows = try await session.query(
      """
      select u.rolname as member, r.rolname as role
      from pg_roles u cross join pg_roles r
      where u.rolname = any ($1) and r.rolname = any ($2) and pg_has_role(u.oid, r.oid, 'USAGE')
      """, [.textArray(Set(candidates.map(\.grantee.value)).sorted()), .textArray(open.values.map(\.role.value))]
    ).rows
    var members: [String: Set<String>] = [:]
    for row in rows { members[try row.text("role"), default: []].insert(try row.text("member")) }
    return candidates.filter { entry in
      guard let way = open[entry.securable] else { return false }
      return (audiences.ours.contains(way.grant) || granted.contains(way.grant))
        && members[way.role.value]?.contains(entry.grantee.value) == true
    }
  }

  /// Which of these are used by an entry that stays. What others gave counts where they share the role with us: not for
  /// an audience, and not when we leave.
  private static func uses(
    of idle: Set<Grant>, _ database: SecurableOID, _ roles: [String: ManagedRole.Kind], _ agenda: Agenda,
    without revokes: Set<Grant>, in session: PostgresConnection
  ) async throws -> Set<Place> {
    guard !idle.isEmpty else { return [] }
    let anywhere = idle.contains { $0.securable == database }
    let schemas = Set(idle.filter { $0.securable != database }.map(\.securable.oid))
    let grantees = Set(idle.map(\.grantee))
    let holdings = try await RoleHoldings.read(
      Set(grantees.map(\.value)), schemas: anywhere ? nil : schemas, in: session)
    let entries = try await ObservedState.read(
      roles: grantees, relations: Set(holdings.relations.map(\.relation)), in: session
    ).entries
    func isShared(_ role: String) -> Bool { roles[role] == .user && !agenda.extent.isLeaving }
    var used: Set<Place> = []
    func note(_ role: String, _ schema: UInt32) {
      used.insert(Place(role: role, securable: SecurableOID(family: .schema, oid: schema)))
      used.insert(Place(role: role, securable: database))
    }
    for entry in entries {
      guard let schema = entry.schema else { continue }
      let stays = entry.grant.map { !revokes.contains($0) } ?? isShared(entry.grantee.value)
      if stays { note(entry.grantee.value, schema) }
    }
    for other in holdings.others where isShared(other.role) { note(other.role, other.schema) }
    return used
  }
}
