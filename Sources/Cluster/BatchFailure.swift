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
    // The batch may have been cancelled; what follows must reach Redis and the ledger all the same. Ends with the call.
    await Task {
      do { try await handle(lease, error) } catch {
        // The lease expires by itself, and the jobs run again then.
        logger.warning("could not give a lease back", metadata: ["lane": "\(lease.lane)", "error": "\(error)"])
      }
    }.value
  }

  private func handle(_ lease: Lease, _ error: any Error) async throws {
    if let error = error as? JobQueueError {
      // Fenced or unreachable: the results are in the ledger, Redis finds out when the jobs are leased again.
      logger.info("a settlement did not reach Redis", metadata: ["lane": "\(lease.lane)", "error": "\(error)"])
      return
    }
    if MetadataDatabase.isOutage(error) {
      // The metadata database: the target's own trouble comes as a TargetError.
      logger.warning("the metadata database does not answer", metadata: ["error": "\(error)"])
      try await rest(lease)
      return
    }
    let failure = Targets.classify(midway: error)
    switch failure.disposition {
    case .cancelled: try await queue.release(lease)
    case .databaseGone: try await discardAll(lease, failure, revokesAreDone: true)
    case .databaseClosed: try await discardAll(lease, failure, revokesAreDone: false)
    case .stopped: try await park(lease, .stopped, failure)
    case .unhealthy: try await park(lease, .unhealthy, failure)
    case .soon(let delay): try await postpone(lease, failure, delay)
    }
  }

  /// Gives the lease back after a pause, so that an outage of the metadata database does not become a busy loop.
  private func rest(_ lease: Lease) async throws {
    try await Task.sleep(for: configuration.outageBackoff.delay(failures: 3))
    try await queue.release(lease)
  }

  private func park(_ lease: Lease, _ state: Connection.State, _ failure: TargetError) async throws {
    Counter(label: MetricName.parks, dimensions: [("reason", state.rawValue)]).increment()
    logger.warning(
      "connection parked",
      metadata: ["connection": "\(lease.lane.connection)", "state": "\(state.rawValue)", "error": "\(failure)"])
    try await queue.park(connection: lease.lane.connection, for: configuration.longestPark, releasing: lease)
    _ = try await metadata.transaction {
      try await $0.setState(of: lease.lane.connection, to: state, reason: failure.description, unless: [.inactive])
    }
  }

  private func postpone(_ lease: Lease, _ failure: TargetError, _ delay: Duration?) async throws {
    let count = failures.note(lease.lane.connection)
    if count >= configuration.unhealthyAfter { return try await park(lease, .unhealthy, failure) }
    let pause = max(delay ?? .zero, configuration.parkBackoff.delay(failures: count))
    Counter(label: MetricName.parks, dimensions: [("reason", "unreachable")]).increment()
    logger.info(
      "connection parked for a moment",
      metadata: [
        "connection": "\(lease.lane.connection)", "seconds": "\(pause.inSeconds)", "error": "\(failure.message)",
      ])
    guard lease.lane.connection > 0 else {
      try await Task.sleep(for: pause)
      return try await queue.release(lease)
    }
    try await queue.park(connection: lease.lane.connection, for: pause, releasing: lease)
  }

  /// The lane's database cannot be worked in. If it is gone, so is everything that was granted there: revokes are done,
  /// the rest is not possible, and a sync of the connection takes the database out of the tree.
  private func discardAll(_ lease: Lease, _ failure: TargetError, revokesAreDone: Bool) async throws {
    let (claim, results) = try await metadata.transaction { metadata in
      let claim = try await metadata.claim(lease.jobs, fence: lease.fence, worker: configuration.name)
      let results = claim.claimed.map { job in
        revokesAreDone && job.kind == .revoke
          ? JobResult(id: job.id, outcome: .completed, result: #"{"notes":["the database is gone"]}"#)
          : JobResult(id: job.id, outcome: .discarded, error: failure.message, remedy: failure.remedy)
      }
      try await metadata.settle(results, fence: lease.fence)
      if revokesAreDone { try await followGone(claim.claimed, lease.lane.connection, metadata) }
      return (claim, results)
    }
    try await queue.settle(lease, settlements(claim, results))
  }

  private func followGone(_ jobs: [ClaimedJob], _ connection: Int64, _ metadata: MetadataSession) async throws {
    if jobs.contains(where: { $0.kind != .revoke }) { _ = try await metadata.submitSync(of: connection) }
    guard jobs.contains(where: { $0.scope.subject == .leave }) else { return }
    // A database that could be worked in would have asked for this itself.
    let roles = try await metadata.lane(.roles, of: connection).id
    _ = try await metadata.submit([JobRequest(lane: roles, kind: .revoke, jobClass: .revoke, scope: .leave)])
  }
}

/// How often each connection could not be reached in a row, as this worker saw it.
final class ConnectionFailures: Sendable {
  private let counts = Mutex<[Int64: Int]>([:])

  func note(_ connection: Int64) -> Int {
    counts.withLock { counts in
      counts[connection, default: 0] += 1
      return counts[connection, default: 0]
    }
  }

  func reset(_ connection: Int64) { counts.withLock { _ = $0.removeValue(forKey: connection) } }
}
