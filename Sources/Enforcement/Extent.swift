import Metadata
import Postgres

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
  /// Roles compared on every data source that is, or should be, granted to them.
  var wholeRoles: Set<String> = []
  /// Data sources (by securable id) compared for every role that Sluice manages.
  var wholeSecurables: Set<Int64> = []
  /// Every managed role and every data source: a plan, or leaving.
  var isEverything = false

  /// Every role that the batch may have to grant to or revoke from, apart from those of whole securables.
  var roles: Set<String> { wholeRoles.union(pairs.map(\.role)) }

  func contains(role: String, securable: Int64?) -> Bool {
    if isEverything || wholeRoles.contains(role) { return true }
    guard let securable else { return false }
    return wholeSecurables.contains(securable) || pairs.contains(Pair(role: role, securable: securable))
  }
}

extension Extent {
  /// Reads who and what the scopes of a database lane's jobs mean now; what no longer exists asks for nothing.
  static func of(_ jobs: [ClaimedJob], connection: Int64, _ metadata: MetadataSession) async throws -> Extent {
    var extent = Extent()
    let roles = try await JobRoles.of(jobs, connection: connection, metadata)
    for job in jobs {
      let role = roles.role(of: job)
      switch job.scope.subject {
      case .connection, .database, .schema, .relation, .retirement, .governance: break
      case .subscription:
        if let role, let securable = job.scope.securable { extent.pairs.insert(Pair(role: role, securable: securable)) }
      case .audience, .grantee: extent.wholeRoles.formUnion([role].compactMap(\.self))
      case .securable: extent.wholeSecurables.formUnion([job.scope.securable].compactMap(\.self))
      case .everything, .leave: extent.isEverything = true
      }
    }
    return extent
  }
}
