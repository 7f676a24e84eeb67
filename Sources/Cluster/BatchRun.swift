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
  let pace: BatchPace
  let logger: Logger
  let failures = FailureCounts<Int64>()
  let laneFailures = FailureCounts<LaneID>()

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
    if claim.isOutdated { queue.reconnect() }
    if !claim.poisoned.isEmpty {
      Counter(label: MetricName.jobsPoisoned).increment(by: claim.poisoned.count)
      logger.error("jobs discarded: their workers vanished", metadata: ["jobs": "\(claim.poisoned)"])
    }
    var results: [JobResult] = []
    var states: [Int64: JobState] = [:]
    if !claim.claimed.isEmpty {
      let started = surroundings.now
      do {
        results = try await open.run(claim.claimed)
        laneFailures.reset(lease.lane)
        // A sync takes as long as its database is large, which says nothing about the next batch.
        if !claim.claimed.contains(where: { $0.kind == .sync }) {
          pace.note(claim.claimed.count, took: started.duration(to: surroundings.now))
        }
      } catch {
        // What was claimed must not look as if its worker had vanished.
        try await insist { try await ledger.release(claim.claimed.map(\.id), fence: lease.fence) }
        // A governance lane has no target: its trouble is the metadata database's.
        throw open.hasTarget ? Targets.classify(midway: error) : error
      }
      states = try await write(results, lease)
    }
    let settled = settlements(claim, results, states)
    try await shielded { try await queue.settle(lease, settled) }
  }

  /// The target has committed, and somebody waits to know.
  private func write(_ results: [JobResult], _ lease: Lease) async throws -> [Int64: JobState] {
    let states = try await insist { try await ledger.settle(results, fence: lease.fence) }
    count(results, states)
    return states
  }

  private func count(_ results: [JobResult], _ states: [Int64: JobState]) {
    // A snoozed job is scheduled; otherwise states and outcomes share their names.
    for (state, jobs) in Dictionary(grouping: states.values, by: \.self) {
      let outcome = state == .scheduled ? "snoozed" : state.rawValue
      Counter(label: MetricName.jobsSettled, dimensions: [("outcome", outcome)]).increment(by: jobs.count)
    }
    let stale = results.count - states.count
    if stale > 0 { Counter(label: MetricName.jobsStale).increment(by: stale) }
  }

  /// - Parameter states: of the jobs whose results the ledger accepted; one that failed may have been given up there. Of
  ///   the others only the ledger knows whether they have ended, such as when it crashed and has forgotten their claim:
  ///   they wait again, and the next claim asks it.
  func settlements(
    _ claim: Claim, _ results: [JobResult], _ states: [Int64: JobState]
  ) -> [Int64: Settlement] {
    var settlements: [Int64: Settlement] = [:]
    for id in claim.finished { settlements[id] = .done(.completed) }
    for id in claim.poisoned { settlements[id] = .done(.discarded) }
    for (id, remaining) in claim.early { settlements[id] = .again(after: remaining) }
    for id in claim.busy { settlements[id] = .again(after: Self.busyDelay) }
    for result in results {
      settlements[result.id] =
        switch (result.outcome, states[result.id]) {
        case (_, nil): .back
        case (.completed, _): .done(.completed)
        case (.discarded, _), (.retryable, .discarded): .done(.discarded)
        case (.cancelled, _): .done(.cancelled)
        case (.retryable(let delay), _), (.snoozed(let delay), _): .again(after: delay)
        }
    }
    return settlements
  }

  /// How long a job rests that a producer holds at this moment.
  private static let busyDelay: Duration = .milliseconds(100)

  /// Offers something to the ledger until it answers or patience is over. It is offered once more when the batch is
  /// cancelled, as when its lease was lost: the fence decides, and it may be good as long as nobody else has claimed.
  func insist<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let limit = Deadline(surroundings.now.advanced(by: configuration.resultPatience))
    var tries = 0
    while true {
      let isLast = Task.isCancelled || surroundings.hasPassed(limit)
      do { return try await shielded(body) } catch  where ledger.isOutage(error) && !isLast {
        tries += 1
        logger.warning("the metadata database does not answer; trying again", metadata: ["error": "\(error)"])
        // best effort: a cancelled wait ends at once, and what follows is the last try
        try? await surroundings.sleep(for: surroundings.delay(configuration.outageBackoff, failures: tries))
      }
    }
  }

  /// Runs `body` although the batch may have been cancelled.
  func shielded<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    // A task of its own, because cancellation must not reach it. Ends with the call.
    try await Task(executorPreference: surroundings.executor) { try await body() }.value
  }
}
