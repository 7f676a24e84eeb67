import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform
import ServiceLifecycle

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
  let breaks = Breaks()

  /// - Returns: The next lease, if this one's settlement brought it.
  func run(_ lease: Lease) async -> Lease? {
    do {
      let settlements = try await work(lease)
      return try await settle(lease, settlements)
    } catch {
      await giveUp(lease, error)
      return nil
    }
  }

  private func work(_ lease: Lease) async throws -> [Int64: Settlement] {
    let started = surroundings.now
    let open = try await handler.open(lane: lease.lane.lane)
    do {
      let settlements = try await work(lease, in: open)
      await open.close()
      Metrics.Timer(label: MetricName.batchSeconds).recordNanoseconds(
        Int64(started.duration(to: surroundings.now).inSeconds * 1e9))
      return settlements
    } catch {
      await open.close()
      throw error
    }
  }

  /// Settles, and takes the next lane in the same step unless the worker stops.
  private func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) async throws -> Lease? {
    if Task.isShuttingDownGracefully || Task.isCancelled {
      try await end(lease) { try await queue.settle(lease, settlements) }
      return nil
    }
    let reply = try await end(lease) {
      try await queue.settle(
        lease, settlements, thenLeaseAs: configuration.name, limit: configuration.batchSize,
        classes: configuration.classes)
    }
    guard case .leased(let next) = reply else { return nil }
    return next
  }

  private func work(_ lease: Lease, in open: OpenedLane) async throws -> [Int64: Settlement] {
    // What a slow lane is leased beyond its pace goes back with the settlement.
    let jobs = lease.jobs(atMost: pace.limit(lease.lane))
    // A claim that was cancelled after its commit would look as if the worker had vanished.
    let claim = try await shielded { try await ledger.claim(jobs, fence: lease.fence, worker: configuration.name) }
    if claim.isOutdated { queue.reconnect() }
    if !claim.poisoned.isEmpty {
      Counter(label: MetricName.jobsPoisoned).increment(by: claim.poisoned.count)
      logger.error("jobs discarded: their workers vanished", metadata: ["jobs": "\(claim.poisoned)"])
    }
    let outcome = await run(claim.claimed, lease, in: open)
    let undecided = Set(claim.claimed.map(\.id)).subtracting(outcome.results.map(\.id)).sorted()
    let states = outcome.results.isEmpty ? [:] : try await write(outcome.results, lease)
    // What was claimed must not look as if its worker had vanished.
    if !undecided.isEmpty { try await insist { try await ledger.release(undecided, fence: lease.fence) } }
    if outcome.wentWell, open.hasTarget, open.isReportedDown {
      try await ledger.report(.active, of: open.connection, reason: nil)
    }
    if let failure = outcome.failure { throw failure }
    return settlements(claim, outcome.results, states)
  }

  private struct Outcome {
    /// Of the jobs that were decided.
    var results: [JobResult] = []
    /// Something was done in the target: what was wrong with it is over.
    var wentWell = false
    var failure: (any Error)?
  }

  /// Runs what was claimed. What has failed before runs apart, so that it fails with its like only.
  private func run(_ jobs: [ClaimedJob], _ lease: Lease, in open: OpenedLane) async -> Outcome {
    let suspects = jobs.filter { $0.attempt > 0 || breaks.count(of: $0) > 0 }
    let others = jobs.filter { $0.attempt == 0 && breaks.count(of: $0) == 0 }
    var outcome = Outcome()
    for part in [others, breaks.part(of: suspects)] where !part.isEmpty {
      let started = surroundings.now
      do {
        outcome.results += try await open.run(part)
        outcome.wentWell = true
        failures.reset(open.connection)
        laneFailures.reset(lease.lane)
        breaks.forget(part)
        note(part, lease, since: started)
      } catch {
        note(part, lease, since: started)
        let blamed = broken(part, error)
        outcome.results += blamed
        // Where one job is to blame, the connection is not: it is found out by its next batch.
        if blamed.isEmpty { outcome.failure = error }
        break
      }
    }
    return outcome
  }

  /// No job is to blame when a session breaks off; one that was there each time is, and more so if it failed before.
  private func broken(_ jobs: [ClaimedJob], _ error: any Error) -> [JobResult] {
    guard let error = error as? TargetError, case .soon = error.disposition else { return [] }
    breaks.note(jobs)
    guard jobs.count == 1, jobs[0].attempt > 0 || breaks.count(of: jobs[0]) >= Breaks.patience else { return [] }
    breaks.forget(jobs)
    return [
      jobs[0].failed(
        "its session broke off again: \(error.message)",
        remedy: "see in the target's log why, then: sluice job retry \(jobs[0].id)",
        delay: surroundings.delay(configuration.parkBackoff, failures: jobs[0].attempt + 1))
    ]
  }

  /// A sync takes as long as its database is large, which says nothing about the next batch.
  private func note(_ jobs: [ClaimedJob], _ lease: Lease, since started: ContinuousClock.Instant) {
    guard !jobs.contains(where: { $0.kind == .sync }) else { return }
    pace.note(jobs.count, of: lease.lane, took: started.duration(to: surroundings.now))
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

  /// Tells Redis how a lease ends, until it answers: without that its lane would stand still for the rest of the lease,
  /// which is renewed meanwhile. Once the lease is lost, which cancels the batch, there is one last try.
  ///
  /// - Returns: Nil if an earlier try got through whose answer was lost.
  @discardableResult func end<Value: Sendable>(
    _ lease: Lease, _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value? {
    var tries = 0
    while true {
      let isLast = Task.isCancelled
      do { return try await shielded(body) } catch let error as JobQueueError
        where error.code == .unavailable && !isLast
      {
        tries += 1
        logger.info(
          "the end of a lease did not reach Redis; trying again",
          metadata: ["lane": "\(lease.lane)", "error": "\(error)"])
        // best effort: a cancelled wait ends at once, and what follows is the last try
        try? await surroundings.sleep(for: surroundings.delay(configuration.outageBackoff, failures: tries))
      } catch let error as JobQueueError where error.code == .fenced && tries > 0 {
        // An earlier try got through, or the lease was lost while Redis was away: the lane goes on either way.
        return nil
      }
    }
  }

  /// Runs `body` although the batch may have been cancelled.
  func shielded<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    // A task of its own, because cancellation must not reach it. Ends with the call.
    try await Task(executorPreference: surroundings.executor) { try await body() }.value
  }
}
