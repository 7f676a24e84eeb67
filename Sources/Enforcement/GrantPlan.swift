import Governance
import Metadata

/// The difference between desired and observed, within an extent: what a batch has to do in one database.
struct GrantPlan: Sendable {
  var revokes: Set<Grant> = []
  var grants: Set<Grant> = []

  var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }

  /// Everything the diff needs, read under the lane's lock.
  struct Inputs: Sendable {
    var extent: Extent
    var desired: DesiredState
    var observed: ObservedState
    var catalog: CatalogFacts
    /// Securable ids by OID, for the relations that Sluice knows.
    var securables: [UInt32: Int64]
    /// Roles that Sluice manages, by name, with their kind; those that should have something belong to them.
    var managed: [String: ManagedRole.Kind]
    /// What Sluice granted to users' roles directly.
    var managedPairs: Set<Extent.Pair>
  }

  static func diff(_ inputs: Inputs) -> GrantPlan {
    let wanted = inputs.desired.grants(in: inputs.catalog)
    var plan = GrantPlan()
    plan.grants = wanted.subtracting(inputs.observed.ours).filter { grant in
      switch grant.securable.family {
      case .table, .sequence: return inputs.covers(grant)
      case .schema, .database:
        // A prerequisite that everybody has needs no entry for each role in an access control list that every
        // statement rewrites.
        return !inputs.observed.publicly.contains(
          .init(securable: grant.securable, privilege: grant.privilege))
      }
    }
    let surplus = inputs.observed.ours.subtracting(wanted)
    plan.revokes = surplus.filter {
      ($0.securable.family == .table || $0.securable.family == .sequence) && inputs.covers($0)
    }
    plan.revokes.formUnion(plan.surplusPrerequisites(surplus, inputs))
    return plan
  }

  /// USAGE and CONNECT leave with the last grant that needs them: not while the role keeps anything of ours there.
  private func surplusPrerequisites(_ surplus: Set<Grant>, _ inputs: Inputs) -> Set<Grant> {
    var schemasInUse: Set<Prerequisite> = []
    var rolesInUse: Set<RoleName> = []
    for grant in inputs.observed.ours.subtracting(revokes) {
      guard let schema = inputs.schema(of: grant.securable) else { continue }
      schemasInUse.insert(Prerequisite(role: grant.grantee, oid: schema))
      rolesInUse.insert(grant.grantee)
    }
    return surplus.filter { grant in
      guard inputs.managed[grant.grantee.value] != nil, inputs.coversRole(grant.grantee.value) else { return false }
      switch grant.securable.family {
      case .schema: return !schemasInUse.contains(Prerequisite(role: grant.grantee, oid: grant.securable.oid))
      case .database: return !rolesInUse.contains(grant.grantee)
      case .table, .sequence: return false
      }
    }
  }

  private struct Prerequisite: Hashable {
    let role: RoleName
    let oid: UInt32
  }
}

extension GrantPlan.Inputs {
  /// Whether the batch may touch this grant on a relation or sequence.
  func covers(_ grant: Grant) -> Bool {
    let role = grant.grantee.value
    let owner = grant.securable.family == .sequence ? table(owning: grant.securable.oid) : grant.securable.oid
    guard let kind = managed[role] else { return false }
    let securable = owner.flatMap { securables[$0] }
    guard extent.contains(role: role, securable: securable) else { return false }
    // An audience is wholly ours, also on relations that no sync has seen.
    if kind == .audience { return true }
    guard let securable else { return false }
    let pair = Extent.Pair(role: role, securable: securable)
    return extent.pairs.contains(pair) || managedPairs.contains(pair)
  }

  func coversRole(_ role: String) -> Bool {
    extent.isEverything || extent.roles.contains(role) || !extent.wholeSecurables.isEmpty
  }

  func table(owning sequence: UInt32) -> UInt32? {
    catalog.relations.first { $0.value.ownedSequences.contains(sequence) }?.key
  }

  func schema(of securable: SecurableOID) -> UInt32? {
    switch securable.family {
    case .table: catalog.relations[securable.oid]?.schemaOID
    case .sequence: table(owning: securable.oid).flatMap { catalog.relations[$0]?.schemaOID }
    case .schema, .database: nil
    }
  }
}
