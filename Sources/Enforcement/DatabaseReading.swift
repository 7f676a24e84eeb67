import Governance
import Metadata
import Postgres

/// Reading desired and observed state of a window of relations. The order matters: the lock is held, so whatever is read
/// here is at least as new as every job of the batch.
extension DatabaseRun {
  func read(_ window: Set<UInt32>, of agenda: Agenda, in session: PostgresConnection) async throws -> GrantInputs {
    let places = try await metadata.read { try await $0.places(in: database, at: window) }
    let extent = agenda.extent.within(window, places)
    let whole = Set(extent.wholeSecurables.compactMap { places[$0] }.filter { $0.family == .table }.map(\.oid))
    let named = extent.isEverything ? Set(agenda.managed.keys) : extent.roles
    let grantees = try await grantees(of: whole, in: session)
    let (desired, others, remembered, ways) = try await metadata.read { metadata in
      (
        isLeftForGood
          ? DesiredState()
          : try await metadata.desiredAccesses(
            database: database, securables: places.relationIDs, roles: named, whole: extent.wholeSecurables,
            everything: extent.isEverything),
        grantees.isEmpty
          ? [:] : try await metadata.roleKinds(of: connection.id, among: grantees, everything: false),
        try await metadata.managedGrants(
          of: connection.id, roles: whole.isEmpty ? Array(named) : nil, on: places.relationIDs),
        isLeftForGood
          ? WaysIn()
          : try await metadata.waysIn(
            to: database, of: connection.id, naming: extent.wholeSecurables, places)
      )
    }
    var managed = agenda.managed.merging(others) { $1 }.merging(ways.roles) { $1 }
    for access in desired.accesses { managed[access.role.value] = access.roleKind }
    for pair in extent.pairs where managed[pair.role] == nil { managed[pair.role] = .user }
    var remembers = remembered
    remembers.grants.removeAll { !named.contains($0.role) && !extent.wholeSecurables.contains($0.securable) }
    for grant in remembers.grants where managed[grant.role] == nil { managed[grant.role] = .user }

    let roles = named.union(grantees.filter { managed[$0] != nil }).union(desired.accesses.map(\.role.value))
      .union(remembers.grants.map(\.role)).union(ways.roles.keys)
    // Of a role that has an audience's name and is somebody else's, nothing is ours but what we gave it.
    for role in try await foreignAudiences(roles.filter { managed[$0] == .audience }, in: session) {
      managed[role.value] = .user
    }
    var catalog = try await CatalogFacts.read(window, schemas: ways.schemas, in: session)
    try await catalog.readUpdatability(
      of: Set(
        desired.accesses.filter { $0.access == .write && catalog.relations[$0.oid]?.kind == .view }.map(\.oid)),
      in: session)
    let observed = try await ObservedState.read(
      roles: Set(roles.compactMap { try? RoleName($0) }),  // best effort: invalid names are in `desired`
      relations: window, schemas: ways.schemas, in: session)
    return GrantInputs(
      extent: extent, desired: desired, observed: observed, catalog: catalog, places: places, managed: managed,
      roles: roles, remembered: remembers, ways: ways)
  }

  /// Of a connection that is being deleted nothing is desired, also where that is only tried: a dry run.
  var isLeftForGood: Bool { connection.state == .deleting }

  private func foreignAudiences(
    _ audiences: Set<String>, in session: PostgresConnection
  ) async throws -> Set<RoleName> {
    guard !audiences.isEmpty else { return [] }
    return try await TargetRoles(metadata: metadata, connection: connection, session: session)
      .marks(of: try audiences.map { try RoleName($0) }).foreign
  }

  /// Which roles hold something on these relations.
  private func grantees(of relations: Set<UInt32>, in session: PostgresConnection) async throws -> Set<String> {
    guard !relations.isEmpty else { return [] }
    let rows = try await session.query(
      statement(PackageResources.securable_grantees_sql), [.int8Array(relations.map(Int64.init))]
    ).rows
    return Set(try rows.map { try $0.text("role") })
  }
}
