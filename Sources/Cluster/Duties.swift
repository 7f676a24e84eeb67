import Databricks
import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform

/// One round of what only the leader does. Each duty is harmless if two do it at the same time.
struct Duties: Sendable {
  let configuration: SchedulerConfiguration
  let queue: any WorkQueue
  let ledger: any Ledger
  /// The instance's state as its API tells it; nil where there is none to ask.
  let instanceState: @Sendable (Connection) async throws -> InstanceState?
  let logger: Logger

  func round() async throws {
    try await endExpired()
    try await syncDue()
    try await probeDue()
    try await ledger.pruneJobs(olderThan: configuration.jobRetention, limit: configuration.roundLimit)
  }

  private func endExpired() async throws {
    let ended = try await ledger.endExpired(limit: configuration.roundLimit)
    if ended > 0 { logger.info("subscriptions expired", metadata: ["count": "\(ended)"]) }
  }

  private func syncDue() async throws {
    for connection in try await ledger.connectionsDueForSync(limit: configuration.roundLimit) {
      // A periodic sync is no reason to wake somebody's sleeping database.
      try await ledger.planSync(of: connection.id, skippingThis: try await isAsleep(connection))
    }
  }

  private func isAsleep(_ connection: Connection) async throws -> Bool {
    guard case .endpoint = connection.instance else { return false }
    do { return try await instanceState(connection) == .idle } catch {
      if ledger.isOutage(error) || error is CancellationError { throw error }
      // The sync itself finds out what is wrong, and reports it.
      return false
    }
  }

  /// Asks after instances that do not run, each at its own growing intervals, however many jobs wait for it.
  private func probeDue() async throws {
    let due = try await ledger.dueProbes(limit: configuration.roundLimit)
    for (connection, failures) in due {
      Counter(label: MetricName.probes).increment()
      let isRunning = try await isRunning(connection)
      if isRunning, connection.state == .stopped {
        try await ledger.report(.active, of: connection.id, reason: nil)
      } else {
        try await ledger.planProbe(of: connection.id, after: configuration.probeDelay(failures: failures))
      }
      guard isRunning else { continue }
      logger.info("instance answers; waking its lanes", metadata: ["connection": "\(connection.name)"])
      try await queue.wake(connection: connection.id)
    }
  }

  /// Plain PostgreSQL has no API to ask: its own lanes, half-open, are the probe.
  private func isRunning(_ connection: Connection) async throws -> Bool {
    do { return try await instanceState(connection)?.isConnectable ?? true } catch {
      if ledger.isOutage(error) || error is CancellationError { throw error }
      // Whatever it is (a refused secret, a key file that is not the right one), it concerns this connection alone.
      logger.info(
        "a probe failed", metadata: ["connection": "\(connection.name)", "error": "\(error)"])
      return false
    }
  }
}
