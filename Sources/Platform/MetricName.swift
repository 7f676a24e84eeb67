/// Names of the metrics, in one place: the console, dashboards and alerts use the same.
package enum MetricName {
  /// Jobs whose results the ledger accepted; dimension `outcome`.
  package static let jobsSettled = "sluice_jobs_settled_total"
  /// Results that came under a fence that was no longer current.
  package static let jobsStale = "sluice_jobs_stale_total"
  /// Jobs discarded because their workers vanished too often.
  package static let jobsPoisoned = "sluice_jobs_poisoned_total"
  /// Connections and lanes parked; dimension `reason`.
  package static let parks = "sluice_connection_parks_total"
  /// Leases that a worker lost while it worked.
  package static let leasesLost = "sluice_leases_lost_total"
  /// Jobs copied from the outbox into Redis.
  package static let jobsEnqueued = "sluice_jobs_enqueued_total"
  /// Times that Redis held as many jobs as it may, so that producers were told to slow down.
  package static let queueFull = "sluice_queue_full_total"
  /// Times that Redis held as many jobs of a connection as it may, so that its producers were told to slow down.
  package static let connectionsFull = "sluice_queue_connections_full_total"
  /// Times that Redis was found without its memory.
  package static let epochsRaised = "sluice_queue_epochs_raised_total"
  /// Probes of instances that did not run.
  package static let probes = "sluice_instance_probes_total"
  /// Dead letters deleted because nobody decided about them for too long.
  package static let deadPruned = "sluice_dead_letters_pruned_total"
  /// Audiences for which a connection's role budget has no place, so that their members are denied; dimension
  /// `connection`.
  package static let rolesUnplaced = "sluice_roles_unplaced"
  /// Questions to the APIs of instances that failed, or were not answered in time.
  package static let questionsFailed = "sluice_instance_questions_failed_total"
  /// Transactions that grant or revoke in targets; dimension `outcome`: `committed`, or `repeated` with less in them, because
  /// they were slow, too much for the server, or lost against somebody else's changes.
  package static let targetTransactions = "sluice_target_transactions_total"
  /// Seconds that such a transaction took.
  package static let targetTransactionSeconds = "sluice_target_transaction_seconds"
  /// Differences that nobody asked for, as sweeps found them; dimension `finding`: `lost`, `surplus`, `changed`, `foreign`.
  package static let drift = "sluice_drift_total"
  /// Differences that are there as far as sweeps know, told before or not; dimensions `connection`, `database`.
  package static let driftStanding = "sluice_drift_standing"
  /// Relations whose access control lists sweeps read.
  package static let sweepExamined = "sluice_sweep_examined_relations_total"
  /// Times that something was refused, not looked for or not told in full, because there was more of it than a limit lets
  /// through; dimension `limit`.
  package static let limitsReached = "sluice_limits_reached_total"
  /// Jobs that a worker takes at once now, so that a batch takes about its batch time.
  package static let batchLimit = "sluice_batch_limit"
  /// Seconds from claim to settlement of a batch.
  package static let batchSeconds = "sluice_batch_seconds"
}
