import JobQueue
import Platform

/// What schedulers and workers need of the queue: `LaneQueue`, or a simulation's. Its calls are documented there.
package protocol WorkQueue: Sendable {
  /// How long a lease holds when nothing extends it.
  var leaseTTL: Duration { get }
  /// The longest that `waitForWork` blocks.
  var longestWait: Duration { get }

  /// Waiting and delayed jobs beyond which `enqueue` is refused, except for revokes.
  var mostWaiting: Int { get }
  /// How many wait and are delayed.
  func depth() async throws(JobQueueError) -> Int
  /// As `mostWaiting`, of one connection: `enqueue` passes over its jobs, and takes in those of others.
  var mostWaitingOfConnection: Int { get }
  func depths(of connections: Set<Int64>) async throws(JobQueueError) -> [Int64: Int]

  func epoch() async throws(JobQueueError) -> Int64?
  func serverRunID() async throws(JobQueueError) -> String?
  /// The ledger says that another server holds the queue: look for it.
  func reconnect()
  func establish(epoch: Int64) async throws(JobQueueError) -> Bool
  func enqueue(_ jobs: [QueuedJob], epoch: Int64) async throws(JobQueueError) -> LaneQueue.Enqueued
  func lease(worker: String, limit: Int, classes: Set<JobClass>) async throws(JobQueueError) -> LeaseReply
  func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) async throws(JobQueueError)
  func settle(
    _ lease: Lease, _ settlements: [Int64: Settlement], thenLeaseAs worker: String, limit: Int, classes: Set<JobClass>
  ) async throws(JobQueueError) -> LeaseReply
  func extend(_ lease: Lease) async throws(JobQueueError) -> Bool
  func park(connection: Int64, for duration: Duration, releasing lease: Lease?) async throws(JobQueueError)
  func park(lane: LaneID, for duration: Duration, releasing lease: Lease?) async throws(JobQueueError)
  @discardableResult func wake(connection: Int64) async throws(JobQueueError) -> Bool
  func rulesVersion() async throws(JobQueueError) -> Int64?
  @discardableResult func apply(_ rules: QueueRules) async throws(JobQueueError) -> Bool
  func beat(_ beat: WorkerBeat) async throws(JobQueueError)
  func leave(worker: String) async throws(JobQueueError)
  func waitForWork(atMost longest: Duration, classes: Set<JobClass>) async
}

extension WorkQueue {
  /// Nothing to look for where there is one server only.
  package func reconnect() {}

  /// Gives a lease back: its jobs wait again, and nothing counts against them.
  func release(_ lease: Lease) async throws(JobQueueError) { try await settle(lease, [:]) }
}

extension LaneQueue: WorkQueue {
  package var leaseTTL: Duration { configuration.leaseTTL }
  package var longestWait: Duration { configuration.longestWait }
  package var mostWaiting: Int { configuration.mostWaiting }
  package var mostWaitingOfConnection: Int { configuration.mostWaitingOfConnection }
  package func depth() async throws(JobQueueError) -> Int {
    try await waitingAndDelayed()
  }
}
