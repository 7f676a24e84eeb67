import Metadata

/// What a batch is about: the union of its jobs' scopes, in role names and OIDs.
///
/// A user's role is compared only on the pairs that jobs name, because people may have granted to it as well. An
/// audience is wholly ours, and is compared on everything it holds.
struct Extent: Sendable {
  struct Pair: Hashable, Sendable {
    let role: String
    let securable: Int64
  }

  /// Named pairs of a role and a data source (by securable id).
  var pairs: Set<Pair> = []
  /// Those that a revoke names: all access of the pair is taken but what is desired, whoever gave it by our grantor.
  var revokedPairs: Set<Pair> = []
  /// Roles compared on every data source that is, or should be, granted to them.
  var wholeRoles: Set<String> = []
  /// Data sources (by securable id) compared for every role that Sluice manages; and schemas and databases whose
  /// USAGE and CONNECT are to be held in another way.
  var wholeSecurables: Set<Int64> = []
  /// Every managed role and every data source: a plan, or leaving.
  var isEverything = false
  /// Nothing of Sluice's stays, so that nobody has to come back for it.
  var isLeaving = false

  /// Every role that the batch may have to grant to or revoke from, apart from those of whole securables.
  var roles: Set<String> { wholeRoles.union(pairs.map(\.role)) }

  /// Every data source that the batch names.
  var securables: Set<Int64> { wholeSecurables.union(pairs.map(\.securable)) }

  /// What of it is on these relations, or on no relation at all, whose places are given.
  func within(_ relations: Set<UInt32>, _ places: SecurablePlaces) -> Extent {
    func isWithin(_ securable: Int64) -> Bool {
      places[securable].map { $0.family < .table || relations.contains($0.oid) } ?? false
    }
    var part = self
    part.pairs = pairs.filter { isWithin($0.securable) }
    part.revokedPairs = revokedPairs.filter { isWithin($0.securable) }
    part.wholeSecurables = wholeSecurables.filter(isWithin)
    return part
  }
}

extension Extent {
  /// What the scopes of a database lane's jobs mean now; what no longer exists asks for nothing.
  static func of(_ jobs: [ClaimedJob], _ roles: JobRoles) -> Extent {
    var extent = Extent()
    for job in jobs {
      let role = roles.role(of: job)
      switch job.scope.subject {
      case .connection, .database, .schema, .relation, .retirement, .residual, .governance: break
      case .subscription:
        guard let role, let securable = job.scope.securable else { continue }
        extent.pairs.insert(Pair(role: role, securable: securable))
        if job.kind == .revoke { extent.revokedPairs.insert(Pair(role: role, securable: securable)) }
      case .audience, .grantee: extent.wholeRoles.formUnion([role].compactMap(\.self))
      case .securable: extent.wholeSecurables.formUnion([job.scope.securable].compactMap(\.self))
      case .everything, .sweep: extent.isEverything = true
      case .leave:
        extent.isEverything = true
        extent.isLeaving = true
      }
    }
    return extent
  }
}
