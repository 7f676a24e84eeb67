import Governance
import Metadata
import Postgres

/// Reading desired and observed state of a window of relations. The order matters: the lock is held, so whatever is read
/// here is at least as new as every job of the batch.
extension DatabaseRun {
  func read(_ window: Set<UInt32>, of agenda: Agenda, in session: PostgresConnection) async throws -> GrantInputs {
    // What each side is asked first depends on nothing that the other says.
    async let asked = records(on: window, of: agenda)
    let sequences = try await CatalogFacts.sequences(of: window, in: session)
    var catalog = try await CatalogFacts.read(window, in: session)
    var records = try await asked
    // Whoever may write one of the tables that a sequence serves keeps it.
    let shared = try CatalogFacts.served(by: sequences).subtracting(window)
    if !shared.isEmpty { records = try await self.records(on: window, servedWith: shared, of: agenda) }
    let (extent, desired, ways) = (records.extent, records.desired, records.ways)

    let grantees = try await grantees(of: records.whole, in: session)
    let others =
      grantees.isEmpty
      ? [:]
      : try await metadata.read { try await $0.roleKinds(of: connection.id, among: grantees, everything: false) }
    var managed = agenda.managed.merging(others) { $1 }.merging(ways.roles) { $1 }
    for access in desired.accesses { managed[access.role.value] = access.roleKind }
    for pair in extent.pairs where managed[pair.role] == nil { managed[pair.role] = .user }
    for grant in records.remembered.grants where managed[grant.role] == nil { managed[grant.role] = .user }

    let roles = records.named.union(grantees.filter { managed[$0] != nil }).union(desired.accesses.map(\.role.value))
      .union(records.remembered.grants.map(\.role)).union(ways.roles.keys)
    // Of a role that has an audience's name and is somebody else's, nothing is ours but what we gave it.
    for role in try await foreignAudiences(roles.filter { managed[$0] == .audience }, in: session) {
      managed[role.value] = .user
    }
    if !ways.schemas.isEmpty { try await catalog.add(schemas: ways.schemas, in: session) }
    try catalog.note(sequences: sequences, of: window)
    try await catalog.readUpdatability(
      of: Set(
        desired.accesses.filter { $0.access == .write && catalog.relations[$0.oid]?.kind == .view }.map(\.oid)),
      in: session)
    let observed = try await ObservedState.read(
      roles: Set(roles.compactMap { try? RoleName($0) }),  // best effort: invalid names are in `desired`
      relations: window.union(catalog.servedBySequence.keys), schemas: ways.schemas, in: session)
    return GrantInputs(
      extent: extent, desired: desired, observed: observed, catalog: catalog, places: records.places, managed: managed,
      roles: roles, remembered: records.remembered, ways: ways)
  }

  /// What the metadata database says of a window.
  private struct Records: Sendable {
    /// Of the batch's extent what is on these relations, and the roles that it names.
    let extent: Extent
    let named: Set<String>
    /// Relations that are compared whoever holds something on them.
    let whole: Set<UInt32>
    let places: SecurablePlaces
    let desired: DesiredState
    var remembered: ManagedGrants
    let ways: WaysIn
  }

  /// - Parameter shared: relations beside the window that sequences of it serve too
  private func records(
    on window: Set<UInt32>, servedWith shared: Set<UInt32> = [], of agenda: Agenda
  ) async throws -> Records {
    try await metadata.read { metadata in
      let places = try await metadata.places(in: database, at: window.union(shared))
      let also = Set(shared.compactMap { places.id(of: SecurableOID(family: .table, oid: $0)) })
      let extent = agenda.extent.within(window, places)
      let named = extent.isEverything ? Set(agenda.managed.keys) : extent.roles
      let whole = Set(extent.wholeSecurables.compactMap { places[$0] }.filter { $0.family == .table }.map(\.oid))
      var records = Records(
        extent: extent, named: named, whole: whole, places: places,
        desired: isLeftForGood
          ? DesiredState()
          : try await metadata.desiredAccesses(
            database: database, securables: places.relationIDs, roles: named,
            whole: extent.wholeSecurables.union(also), everything: extent.isEverything),
        remembered: try await metadata.managedGrants(
          of: connection.id, roles: whole.isEmpty ? Array(named) : nil, on: places.relationIDs),
        ways: isLeftForGood
          ? WaysIn()
          : try await metadata.waysIn(to: database, of: connection.id, naming: extent.wholeSecurables, places))
      records.remembered.grants.removeAll { grant in
        also.contains(grant.securable)
          ? grant.privilege != .usage
          : !named.contains(grant.role) && !extent.wholeSecurables.contains(grant.securable)
      }
      return records
    }
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
