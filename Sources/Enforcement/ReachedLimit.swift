import Metrics
import Platform

/// A limit on what is taken on, looked for or told. What stays beyond it is counted, because some of it is told nowhere.
enum ReachedLimit: String, Sendable {
  /// Relations of a database; it is not synced.
  case syncRelations = "sync_relations"
  /// Pairs of a role and a data source of one look for residual access.
  case residualPairs = "residual_pairs"
  /// Ways of access that one look reads.
  case residualRoutes = "residual_routes"
  /// Time of one look at those who left audiences; the others' jobs come again.
  case lookTime = "look_time"
  /// Pairs that one look puts into the audit trail, and ways of access of each.
  case auditedPairs = "audited_pairs"
  case auditedRoutes = "audited_routes"
  /// Time of one search for foreign access; what it left out is told in pairs of a person and a data source.
  case foreignPairs = "foreign_pairs"
  /// Differences that one comparison keeps.
  case driftEntries = "drift_entries"

  func count() { Counter(label: MetricName.limitsReached, dimensions: [("limit", rawValue)]).increment() }
}
