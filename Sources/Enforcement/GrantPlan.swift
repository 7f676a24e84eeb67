import Governance
import Metadata

/// The difference between desired and observed on a window of relations: what a transaction has to do.
struct GrantPlan: Sendable {
  var revokes: Set<Grant> = []
  var grants: Set<Grant> = []

  var isEmpty: Bool { revokes.isEmpty && grants.isEmpty }
  var size: Int { revokes.count + grants.count }

  /// - Parameter refused: what was tried in vain already.
  static func diff(_ inputs: GrantInputs, apartFrom refused: Set<Grant> = []) -> GrantPlan {
    var plan = GrantPlan()
    let observed = inputs.observed
    plan.grants = inputs.wanted.filter { grant in
      guard !observed.ours.contains(grant), !observed.owned.contains(grant), !refused.contains(grant) else {
        return false
      }
      switch grant.securable.family {
      case .table, .sequence: return inputs.covers(grant)
      case .schema, .database:
        // A prerequisite that everybody has needs no entry for each role in an access control list that every
        // statement rewrites.
        return !observed.publicly.contains(
          .init(securable: grant.securable, privilege: grant.privilege))
      }
    }
    // USAGE and CONNECT leave last of all: see `Prerequisites`.
    plan.revokes = observed.ours.filter {
      $0.securable.family >= .table && !inputs.wanted.contains($0) && !refused.contains($0) && inputs.mayRevoke($0)
    }
    return plan
  }

  /// As much of it as one transaction takes: whole roles, because a grant is worth nothing without its prerequisites. And
  /// on what others are still to be granted nobody loses anything: who is to hold a table in another way would be refused
  /// in between.
  ///
  /// - Parameter roles: how many there are of them at most
  func limited(roles: Int, locksTables: Bool) -> GrantPlan {
    if size <= ChunkPace.maximumGrants, roles + (locksTables ? size : 0) < ChunkPace.maximumLocks { return self }
    var size: [RoleName: Int] = [:]
    for grant in revokes.union(grants) { size[grant.grantee, default: 0] += 1 }
    let receiving = Set(grants.map(\.grantee))
    let granted = Set(grants.map(\.securable))
    let replaced = Set(revokes.filter { granted.contains($0.securable) }.map(\.grantee)).subtracting(receiving)
    let losing = Set(size.keys).subtracting(receiving).subtracting(replaced)
    let locked = locksTables ? granted.union(revokes.map(\.securable)).count : 0
    var (chosen, total) = (Set<RoleName>(), 0)
    for role in losing.sorted() + receiving.sorted() + replaced.sorted() {
      total += size[role] ?? 0
      if !chosen.isEmpty, chosen.count + locked >= ChunkPace.maximumLocks || total > ChunkPace.maximumGrants {
        break
      }
      chosen.insert(role)
    }
    if chosen.count == size.count { return self }
    let left = Set(grants.filter { !chosen.contains($0.grantee) }.map(\.securable))
    return GrantPlan(
      revokes: revokes.filter { chosen.contains($0.grantee) && !left.contains($0.securable) },
      grants: grants.filter { chosen.contains($0.grantee) })
  }
}
