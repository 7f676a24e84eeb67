import Governance
import Metadata

/// Everything that the diff of a window of relations needs, read under the lane's lock.
struct GrantInputs: Sendable {
  /// Of the batch's extent what is on these relations.
  let extent: Extent
  let desired: DesiredState
  let observed: ObservedState
  let catalog: CatalogFacts
  let places: SecurablePlaces
  /// Roles that Sluice manages, by name, with their kind; those that should have something belong to them.
  let managed: [String: ManagedRole.Kind]
  /// The roles whose entries were read.
  let roles: Set<String>
  /// What Sluice granted to users' roles directly on these relations, as it was remembered.
  let remembered: ManagedGrants
  let ways: WaysIn

  /// The grants that should be there.
  let wanted: Set<Grant>
  /// The remembered grants, where the target has them; those of sequences stand at their tables.
  private let given: Set<Grant>
  private let wholeSecurables: Set<SecurableOID>
  private let pairs: Set<PlacedPair>
  private let revokedPairs: Set<PlacedPair>

  private struct PlacedPair: Hashable {
    let role: String
    let securable: SecurableOID
  }

  init(
    extent: Extent, desired: DesiredState, observed: ObservedState, catalog: CatalogFacts, places: SecurablePlaces,
    managed: [String: ManagedRole.Kind], roles: Set<String>, remembered: ManagedGrants,
    ways: WaysIn
  ) {
    self.extent = extent
    self.desired = desired
    self.observed = observed
    self.catalog = catalog
    self.places = places
    self.managed = managed
    self.roles = roles
    self.remembered = remembered
    self.ways = ways
    wanted = desired.grants(in: catalog, ways)
    given = Set(remembered.grants.compactMap(places.grant))
    wholeSecurables = Set(extent.wholeSecurables.compactMap { places[$0] })
    pairs = Self.placed(extent.pairs, places)
    revokedPairs = Self.placed(extent.revokedPairs, places)
  }

  private static func placed(_ pairs: Set<Extent.Pair>, _ places: SecurablePlaces) -> Set<PlacedPair> {
    Set(pairs.compactMap { pair in places[pair.securable].map { PlacedPair(role: pair.role, securable: $0) } })
  }

  /// Whether the batch is about this grant on a relation or sequence.
  func covers(_ grant: Grant) -> Bool {
    let role = grant.grantee.value
    guard managed[role] != nil else { return false }
    if extent.isEverything || extent.wholeRoles.contains(role) { return true }
    return tables(of: grant.securable).contains { table in
      wholeSecurables.contains(table) || pairs.contains(PlacedPair(role: role, securable: table))
    }
  }

  /// An audience is wholly ours, also on relations that no sync has seen. From a user's role only that is taken which
  /// Sluice gave, or what a revoke names.
  func mayRevoke(_ grant: Grant) -> Bool {
    guard covers(grant) else { return false }
    if managed[grant.grantee.value] == .audience { return true }
    return isGiven(grant)
      || tables(of: grant.securable).contains {
        revokedPairs.contains(PlacedPair(role: grant.grantee.value, securable: $0))
      }
  }

  /// Roles that may have USAGE or CONNECT without any use for it: those that have been found to lose something, or that
  /// should have nothing where they are named.
  func rolesToRelieve(_ plan: GrantPlan) -> [String: ManagedRole.Kind] {
    var relieved = extent.isEverything ? Set(managed.keys) : extent.wholeRoles
    relieved.formUnion(plan.revokes.map(\.grantee.value))
    if !wholeSecurables.isEmpty { relieved.formUnion(remembered.grants.map(\.role)) }
    relieved.formUnion(refusedPairs.map(\.role))
    relieved.formUnion(ways.relieved.keys)
    return managed.filter { relieved.contains($0.key) }
  }

  /// Pairs that jobs name and that are not to have anything, such as those that a guardrail bars.
  var refusedPairs: Set<Extent.Pair> {
    guard !extent.pairs.isEmpty else { return [] }
    return extent.pairs.subtracting(
      desired.accesses.map { Extent.Pair(role: $0.role.value, securable: $0.securable) })
  }

  private func isGiven(_ grant: Grant) -> Bool { atTables(grant).contains(where: given.contains) }

  /// The same privilege, at the tables that it serves if it is on a sequence.
  func atTables(_ grant: Grant) -> [Grant] {
    guard grant.securable.family == .sequence else { return [grant] }
    return tables(of: grant.securable).map {
      Grant(grantee: grant.grantee, securable: $0, privilege: grant.privilege)
    }
  }

  /// The table itself, or those that the sequence serves; none for prerequisites.
  func tables(of securable: SecurableOID) -> [SecurableOID] {
    switch securable.family {
    case .table: [securable]
    case .sequence: (catalog.servedBySequence[securable.oid] ?? []).map { SecurableOID(family: .table, oid: $0) }
    case .schema, .database: []
    }
  }

  /// USAGE and CONNECT that should be there.
  var prerequisites: Set<Grant> { wanted.filter { $0.securable.family < .table } }

  /// Whether a data source is only looked at because a sequence serves it too.
  func isShared(_ securable: Int64) -> Bool {
    places[securable].flatMap { catalog.relations[$0.oid] }?.isAsked == false
  }

  /// Who should write views that nothing can be written through, and what those are called.
  var unwritable: [(access: DesiredState.Access, name: String)] {
    desired.accesses.filter { $0.access == .write }.compactMap { access in
      guard let relation = catalog.relations[access.oid], relation.isAsked,
        relation.effective.isDisjoint(with: [.insert, .update, .delete]),
        let name = catalog.names[SecurableOID(family: .table, oid: access.oid)]
      else { return nil }
      return (access, name)
    }
  }

  /// The kind of each role that should have something.
  var roleKinds: [String: ManagedRole.Kind] {
    ways.roles.merging(desired.accesses.map { ($0.role.value, $0.roleKind) }) { $1 }
  }

  func rolesToGrantTo(_ plan: GrantPlan) -> [RoleName: ManagedRole.Kind] {
    let kinds = roleKinds
    return Dictionary(
      uniqueKeysWithValues: Set(plan.grants.map(\.grantee)).map { ($0, kinds[$0.value] ?? .user) })
  }
}
