import Governance
import Metadata
import Postgres

/// Reading desired and observed state for an extent. The order matters: the lock is held, so whatever is read here is
/// at least as new as every job of the batch.
extension DatabaseRun {
  func read(_ extent: Extent, in session: PostgresConnection) async throws -> GrantInputs {
    var managed = Dictionary(
      uniqueKeysWithValues: try await metadata.read { try await $0.managedRoles(of: connection.id) }
        .map { ($0.role, $0.kind) })
    let named = try await places(extent.securables, extent)
    let whole = Set(extent.wholeSecurables.compactMap { named[$0]?.oid }).union(extent.isEverything ? named.tables : [])
    var roles = extent.roles.union(extent.isEverything ? Array(managed.keys) : [])
    roles.formUnion(try await grantees(of: whole, among: Array(managed.keys), in: session))
    let desired = try await desired(&roles, extent)
    for access in desired.accesses { managed[access.role.value] = access.roleKind }
    for pair in extent.pairs where managed[pair.role] == nil { managed[pair.role] = .user }
    // Of a role that has an audience's name and is somebody else's, nothing is ours but what we gave it.
    for role in try await foreignAudiences(roles.filter { managed[$0] == .audience }, in: session) {
      managed[role.value] = .user
    }

    let remembered = try await metadata.read { [roles] in
      try await $0.managedGrants(of: connection.id, roles: Array(roles))
    }
    let ids = extent.securables.union(remembered.grants.map(\.securable)).union(desired.accesses.map(\.securable))
    let places = try await places(ids, extent)
    let touched = whole.union(places.tables).union(desired.accesses.map(\.oid))
    let observed = try await ObservedState.read(
      roles: Set(roles.compactMap { try? RoleName($0) }),  // best effort: invalid names are in `desired`
      relations: touched, in: session)
    let held = observed.ours.filter { $0.securable.family == .table }.map(\.securable.oid)
    return GrantInputs(
      extent: extent, desired: desired, observed: observed,
      catalog: try await CatalogFacts.read(touched.union(held), in: session), places: places, managed: managed,
      remembered: remembered)
  }

  private func foreignAudiences(
    _ audiences: Set<String>, in session: PostgresConnection
  ) async throws -> Set<RoleName> {
    guard !audiences.isEmpty else { return [] }
    return try await TargetRoles(metadata: metadata, connection: connection, session: session)
      .marks(of: try audiences.map { try RoleName($0) }).foreign
  }

  private func places(_ ids: Set<Int64>, _ extent: Extent) async throws -> SecurablePlaces {
    try await metadata.read { try await $0.places(in: database, of: ids, everything: extent.isEverything) }
  }

  /// Which managed roles hold something on these relations.
  private func grantees(
    of relations: Set<UInt32>, among managed: [String], in session: PostgresConnection
  ) async throws -> [String] {
    guard !relations.isEmpty else { return [] }
    return try await session.query(
      statement(PackageResources.securable_grantees_sql),
      [.int8Array(relations.map(Int64.init)), .textArray(managed)]
    ).rows.map { try $0.text("role") }
  }

  /// What the roles should have, and what every role should have on whole securables. Roles that appear only there are
  /// added, and read again with all that they should have, because of the prerequisites.
  private func desired(_ roles: inout Set<String>, _ extent: Extent) async throws -> DesiredState {
    let desired = try await accesses(roles, extent)
    let others = Set(desired.accesses.map(\.role.value)).subtracting(roles)
    guard !others.isEmpty else { return desired }
    roles.formUnion(others)
    return try await accesses(roles, extent)
  }

  private func accesses(_ roles: Set<String>, _ extent: Extent) async throws -> DesiredState {
    // Of a connection that is being deleted nothing is desired, also where that is only tried (a dry run).
    if connection.state == .deleting { return DesiredState() }
    return try await metadata.read {
      try await $0.desiredAccesses(
        database: database, roles: roles, securables: extent.wholeSecurables, everything: extent.isEverything)
    }
  }
}
