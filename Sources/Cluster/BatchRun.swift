import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform

/// One lease from beginning to end: open the target, claim in the ledger, run, write the results, settle in Redis.
///
/// The order of the commits is what makes it safe: the target first, then the ledger under the fence, then Redis. A
/// crash in between repeats the batch, which finds the target already as desired.
struct BatchRun: Sendable {
  let configuration: WorkerConfiguration
  let queue: any WorkQueue
  let ledger: any Ledger
  let handler: any BatchHandler
  let surroundings: any Surroundings
  let logger: Logger
  let failures = ConnectionFailures()

  func run(_ lease: Lease) async {
    let started = surroundings.now
    do {
      let open = try await handler.open(lane: lease.lane.lane)
      do {
        try await reached(open)
        try await work(lease, in: open)
        await open.close()
      } catch {
        await open.close()
        throw error
      }
      Metrics.Timer(label: MetricName.batchSeconds).recordNanoseconds(
        Int64(started.duration(to: surroundings.now).inSeconds * 1e9))
    } catch {
      await giveUp(lease, error)
    }
  }

  /// The target answers: what was wrong with its connection is over.
  private func reached(_ open: OpenedLane) async throws {
    failures.reset(open.connection)
    guard open.hasTarget, open.isReportedDown else { return }
    try await ledger.report(.active, of: open.connection, reason: nil)
  }

  private func work(_ lease: Lease, in open: OpenedLane) async throws {
    let claim = try await ledger.claim(lease.jobs, fence: lease.fence, worker: configuration.name)
    if !claim.poisoned.isEmpty {
      Counter(label: MetricName.jobsPoisoned).increment(by: claim.poisoned.count)
      logger.error("jobs discarded: their workers vanished", metadata: ["jobs": "\(claim.poisoned)"])
    }
    var results: [JobResult] = []
    if !claim.claimed.isEmpty {
      do {
        results = try await open.run(claim.claimed)
      } catch {
        try await giveBack(claim, lease)
        // A governance lane has no target: its trouble is the metadata database's.
        throw open.hasTarget ? Targets.classify(midway: error) : error
      }
      try await write(results, lease)
    }
    try await queue.settle(lease, settlements(claim, results))
  }

  /// Offers the results to the ledger until it takes them: the target has committed, and somebody waits to know.
  private func write(_ results: [JobResult], _ lease: Lease) async throws {
    let limit = Deadline(surroundings.now.advanced(by: configuration.resultPatience))
    var tries = 0
    while true {
      do {
        let accepted = try await ledger.settle(results, fence: lease.fence)
        count(results, accepted)
        return
      } catch  where ledger.isOutage(error) && !surroundings.hasPassed(limit) {
        tries += 1
        logger.warning("cannot write results; trying again", metadata: ["error": "\(error)"])
        try await surroundings.sleep(for: surroundings.delay(configuration.outageBackoff, failures: tries))
      }
    }
  }

  private func count(_ results: [JobResult], _ accepted: Set<Int64>) {
    for result in results where accepted.contains(result.id) {
      Counter(label: MetricName.jobsSettled, dimensions: [("outcome", result.outcome.name)]).increment()
    }
    let stale = results.count - accepted.count
    if stale > 0 { Counter(label: MetricName.jobsStale).increment(by: stale) }
  }

  func settlements(_ claim: Claim, _ results: [JobResult]) -> [Int64: Settlement] {
    var settlements: [Int64: Settlement] = [:]
    for id in claim.finished { settlements[id] = .done(.completed) }
    for id in claim.poisoned { settlements[id] = .done(.discarded) }
    for (id, remaining) in claim.early { settlements[id] = .again(after: remaining) }
    for id in claim.busy { settlements[id] = .again(after: Self.busyDelay) }
    for result in results {
      settlements[result.id] =
        switch result.outcome {
        case .completed: .done(.completed)
        case .discarded: .done(.discarded)
        case .cancelled: .done(.cancelled)
        case .retryable(let delay), .snoozed(let delay): .again(after: delay)
        }
    }
    return settlements
  }

  /// How long a job rests that a producer holds at this moment.
  private static let busyDelay: Duration = .milliseconds(100)

  private func giveBack(_ claim: Claim, _ lease: Lease) async throws {
    // Not cancelled with the batch: what was claimed must not look as if its worker had vanished. Ends with the call.
    try await Task(executorPreference: surroundings.executor) {
      try await ledger.release(claim.claimed.map(\.id), fence: lease.fence)
    }.value
  }
}
