import Governance
import Metadata

/// The difference between desired and observed, within an extent: what a batch has to do in one database.
struct GrantPlan: Sendable {
  var revokes: Set<Grant> = []
  var grants: Set<Grant> = []

  var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }

  static func diff(_ inputs: GrantInputs) -> GrantPlan {
    let wanted = inputs.wanted
    var plan = GrantPlan()
    plan.grants = wanted.subtracting(inputs.observed.ours).subtracting(inputs.observed.owned).filter { grant in
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
      ($0.securable.family == .table || $0.securable.family == .sequence) && inputs.mayRevoke($0)
    }
    plan.revokeUnused(.schema, surplus, inputs)
    plan.revokeUnused(.database, surplus, inputs)
    return plan
  }

  /// USAGE and CONNECT leave with the last entry that needs them: not while the role keeps any there.
  private mutating func revokeUnused(_ family: SecurableFamily, _ surplus: Set<Grant>, _ inputs: GrantInputs) {
    var inUse: Set<Prerequisite> = []
    for entry in inputs.observed.entries where isKept(entry, inputs) {
      let oid = family == .schema ? entry.schema : inputs.catalog.databaseOID
      if let oid { inUse.insert(Prerequisite(role: entry.grantee, oid: oid)) }
    }
    revokes.formUnion(
      surplus.filter { grant in
        grant.securable.family == family && inputs.mayRevokePrerequisite(grant)
          && !inUse.contains(Prerequisite(role: grant.grantee, oid: grant.securable.oid))
      })
  }

  /// What others gave counts where they share the role with us: not for an audience, and not when we leave.
  private func isKept(_ entry: ObservedState.Entry, _ inputs: GrantInputs) -> Bool {
    if let grant = entry.grant { return !revokes.contains(grant) }
    return inputs.managed[entry.grantee.value] == .user && !inputs.extent.isLeaving
  }

  private struct Prerequisite: Hashable {
    let role: RoleName
    let oid: UInt32
  }
}
