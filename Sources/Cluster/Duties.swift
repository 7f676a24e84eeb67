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
  let queue: LaneQueue
  let metadata: MetadataDatabase
  let targets: Targets
  let logger: Logger

  func round() async throws {
    try await endExpired()
    try await syncDue()
    try await probeDue()
    _ = try await metadata.transaction {
      try await $0.pruneJobs(olderThan: configuration.jobRetention, limit: configuration.roundLimit)
    }
  }

  private func endExpired() async throws {
    let ended = try await metadata.transaction { try await $0.expireSubscriptions(limit: configuration.roundLimit) }
    if ended > 0 { logger.info("subscriptions expired", metadata: ["count": "\(ended)"]) }
    try await metadata.transaction { metadata in
      if try await metadata.noteExpiredPolicies() { _ = try await metadata.submitEvaluations() }
    }
  }

  private func syncDue() async throws {
    let due = try await metadata.read { try await $0.connectionsDueForSync(limit: configuration.roundLimit) }
    for id in due {
      let connection = try await metadata.read { try await $0.connection(id: id) }
      // A periodic sync is no reason to wake somebody's sleeping database.
      let isAsleep = try await isAsleep(connection)
      try await metadata.transaction { metadata in
        try await metadata.postponeSync(of: id)
        if !isAsleep { _ = try await metadata.submitSync(of: id) }
      }
    }
  }

  private func isAsleep(_ connection: Connection) async throws -> Bool {
    guard case .endpoint = connection.instance else { return false }
    do { return try await targets.instanceState(of: connection) == .idle } catch {
      if MetadataDatabase.isOutage(error) || error is CancellationError { throw error }
      // The sync itself finds out what is wrong, and reports it.
      return false
    }
  }

  /// Asks after instances that do not run, each at its own growing intervals, however many jobs wait for it.
  private func probeDue() async throws {
    let due = try await metadata.read { try await $0.dueProbes(limit: configuration.roundLimit) }
    for (connection, failures) in due {
      Counter(label: MetricName.probes).increment()
      let isRunning = try await isRunning(connection)
      try await metadata.transaction { metadata in
        if isRunning, connection.state == .stopped {
          try await metadata.setState(of: connection.id, to: .active, reason: nil, unless: [.inactive])
        } else {
          try await metadata.planProbe(of: connection.id, after: configuration.probeDelay(failures: failures))
        }
      }
      guard isRunning else { continue }
      logger.info("instance answers; waking its lanes", metadata: ["connection": "\(connection.name)"])
      try await queue.wake(connection: connection.id)
    }
  }

  /// Plain PostgreSQL has no API to ask: its own lanes, half-open, are the probe.
  private func isRunning(_ connection: Connection) async throws -> Bool {
    do { return try await targets.instanceState(of: connection)?.isConnectable ?? true } catch {
      if MetadataDatabase.isOutage(error) || error is CancellationError { throw error }
      // Whatever it is (a refused secret, a key file that is not the right one), it concerns this connection alone.
      logger.info(
        "a probe failed", metadata: ["connection": "\(connection.name)", "error": "\(error)"])
      return false
    }
  }
}
