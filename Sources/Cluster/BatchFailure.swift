import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform
import Synchronization

/// What a worker does with a lease whose batch could not be run: nothing of it is counted against the jobs.
extension BatchRun {
  func giveUp(_ lease: Lease, _ error: any Error) async {
    do {
      if let error = error as? JobQueueError {
        // The results are in the ledger, Redis finds out when the jobs are leased again.
        logger.info("a lease could not be ended", metadata: ["lane": "\(lease.lane)", "error": "\(error)"])
      } else if ledger.isOutage(error) {
        // The metadata database: the target's own trouble comes as a TargetError.
        try await rest(lease, error)
      } else {
        try await handle(lease, error)
      }
    } catch {
      // The lease expires by itself, and the jobs run again then.
      logger.warning("could not give a lease back", metadata: ["lane": "\(lease.lane)", "error": "\(error)"])
    }
  }

  private func handle(_ lease: Lease, _ error: any Error) async throws {
    let failure = Targets.classify(midway: error)
    switch failure.disposition {
    case .cancelled: try await release(lease)
    case .locked: try await parkLane(lease, "locked", atLeast: .zero, failure)
    case .databaseGone:
      // Only a sync, which knows databases by OID, can tell whether it was renamed or dropped.
      try await shielded { try await ledger.submitSync(of: lease.lane.connection) }
      try await parkLane(lease, "database gone", atLeast: configuration.databaseRetry, failure)
    case .databaseClosed:
      // A revoke is worth waiting for until somebody opens the database; whoever waits for the rest is told at once.
      try await decide(lease, failure) { job in
        job.kind == .revoke && job.attempt + 1 < job.maxAttempts
          ? .retryable(surroundings.delay(configuration.parkBackoff, failures: job.attempt + 1)) : .discarded
      }
    case .stopped: try await park(lease, .stopped, failure)
    case .unhealthy: try await park(lease, .unhealthy, failure)
    case .soon(let delay): try await postpone(lease, failure, delay)
    }
  }

  /// Keeps the lease until the metadata database answers, and gives it back then: what was claimed must not look as if
  /// its worker had vanished, and nothing else could be claimed meanwhile.
  private func rest(_ lease: Lease, _ error: any Error) async throws {
    logger.warning("the metadata database does not answer", metadata: ["error": "\(error)"])
    // best effort: a cancelled wait ends at once
    try? await surroundings.sleep(for: surroundings.delay(configuration.outageBackoff, failures: 1))
    try await insist { try await ledger.release(lease.jobs, fence: lease.fence) }
    try await release(lease)
  }

  private func release(_ lease: Lease) async throws {
    try await end(lease) { try await queue.release(lease) }
  }

  private func park(_ lease: Lease, for pause: Duration) async throws {
    try await end(lease) {
      try await queue.park(connection: lease.lane.connection, for: pause, releasing: lease)
    }
  }

  private func park(_ lease: Lease, _ state: Connection.State, _ failure: TargetError) async throws {
    Counter(label: MetricName.parks, dimensions: [("reason", state.rawValue)]).increment()
    logger.warning(
      "connection parked",
      metadata: ["connection": "\(lease.lane.connection)", "state": "\(state.rawValue)", "error": "\(failure)"])
    // Reported first: after a crash in between the next batch parks it. Parked alone, nobody would probe it.
    do {
      try await insist { try await ledger.report(state, of: lease.lane.connection, reason: failure.description) }
    } catch {
      logger.warning(
        "could not report a connection; parking it for as long as it may be",
        metadata: ["connection": "\(lease.lane.connection)", "error": "\(error)"])
    }
    try await park(lease, for: configuration.longestPark)
  }

  private func postpone(_ lease: Lease, _ failure: TargetError, _ delay: Duration?) async throws {
    // Governance lanes have no target that could be parked.
    guard lease.lane.connection > 0 else { return try await rest(lease, failure) }
    let count = failures.note(lease.lane.connection)
    if count >= configuration.unhealthyAfter { return try await park(lease, .unhealthy, failure) }
    let pause = max(delay ?? .zero, surroundings.delay(configuration.parkBackoff, failures: count))
    Counter(label: MetricName.parks, dimensions: [("reason", "unreachable")]).increment()
    logger.info(
      "connection parked for a moment",
      metadata: [
        "connection": "\(lease.lane.connection)", "seconds": "\(pause.inSeconds)", "error": "\(failure.message)",
      ])
    try await park(lease, for: pause)
    try await ledger.noteTrouble(with: lease.lane.connection, failure.message)
  }

  /// Nothing of this lane can run now, and the connection's other lanes can: whatever waits in it keeps its place.
  private func parkLane(_ lease: Lease, _ reason: String, atLeast pause: Duration, _ failure: TargetError) async throws
  {
    let count = laneFailures.note(lease.lane)
    let pause = max(pause, surroundings.delay(configuration.parkBackoff, failures: count))
    Counter(label: MetricName.parks, dimensions: [("reason", reason)]).increment()
    logger.info(
      "lane parked for a moment",
      metadata: ["lane": "\(lease.lane)", "seconds": "\(pause.inSeconds)", "error": "\(failure.message)"])
    try await end(lease) {
      try await queue.park(lane: lease.lane, for: pause, releasing: lease)
    }
  }

  /// The instance answers, and this lane's database does not let us in.
  private func decide(
    _ lease: Lease, _ failure: TargetError, _ outcome: @escaping @Sendable (ClaimedJob) -> JobResult.Outcome
  ) async throws {
    let (claim, results, states) = try await shielded {
      try await ledger.decide(lease.jobs, fence: lease.fence, worker: configuration.name) {
        JobResult(id: $0.id, outcome: outcome($0), error: failure.message, remedy: failure.remedy)
      }
    }
    let settled = settlements(claim, results, states)
    try await end(lease) { try await queue.settle(lease, settled) }
  }
}

/// How often each connection or lane could not be worked in a row, as this worker saw it.
final class FailureCounts<Subject: Hashable & Sendable>: Sendable {
  private let counts = Mutex<[Subject: Int]>([:])

  func note(_ subject: Subject) -> Int {
    counts.withLock { counts in
      counts[subject, default: 0] += 1
      return counts[subject, default: 0]
    }
  }

  func reset(_ subject: Subject) { counts.withLock { _ = $0.removeValue(forKey: subject) } }
}
