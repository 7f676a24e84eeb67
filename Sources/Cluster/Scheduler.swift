import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform
import ServiceLifecycle

/// Copies jobs from the ledger into Redis, and does the duties that need a leader. Any number of schedulers may run.
package struct Scheduler: Service {
  let configuration: SchedulerConfiguration
  let queue: LaneQueue
  let metadata: MetadataDatabase
  let duties: Duties
  let logger: Logger
  package let progress = LoopProgress()

  package init(
    configuration: SchedulerConfiguration, queue: LaneQueue, metadata: MetadataDatabase, targets: Targets,
    logger: Logger
  ) {
    self.configuration = configuration
    self.queue = queue
    self.metadata = metadata
    self.logger = logger
    duties = Duties(
      configuration: configuration, queue: queue, metadata: metadata, targets: targets, logger: logger)
  }

  package func run() async throws {
    logger.info("scheduler started", metadata: ["scheduler": "\(configuration.name)"])
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await untilCancelled("outbox") { try await emptyOutboxOnAnnouncement() } }
        group.addTask { await untilCancelled("duties") { try await lead() } }
      }
    }
    logger.info("scheduler stopped", metadata: ["scheduler": "\(configuration.name)"])
  }

  /// Runs a loop again and again: Redis and the metadata database may be gone for a while.
  private func untilCancelled(_ name: String, _ body: () async throws -> Void) async {
    var failures = 0
    while !Task.isCancelled {
      let began = ContinuousClock.now
      do { try await body() } catch {
        if Task.isCancelled { return }
        failures = began.duration(to: .now) > .seconds(10) ? 1 : failures + 1
        logger.warning("scheduler: \(name) interrupted; trying again", metadata: ["error": "\(error)"])
        // best effort: a cancelled wait ends at once, and so does the loop
        try? await Task.sleep(for: configuration.outageBackoff.delay(failures: failures))
      }
    }
  }

  private func emptyOutboxOnAnnouncement() async throws {
    try await metadata.dedicated { session in
      try await session.listen(to: MetadataSession.outboxChannel)
      while !Task.isCancelled {
        progress.note()
        do { try await emptyOutbox() } catch let error as JobQueueError where error.code == .epochLost {
          // Lost in this very moment: the next round begins a new epoch.
          continue
        }
        try await session.awaitAnnouncement(until: .after(configuration.outboxPoll))
      }
    }
  }

  private func emptyOutbox() async throws {
    guard let epoch = try await currentEpoch() else { return }
    while try await enqueueBatch(epoch) == configuration.outboxBatch {}
  }

  /// The epoch that Redis and the ledger agree on. A Redis without a memory, with another epoch's, or of another run
  /// (a restart or a failover may have lost the last of it) begins a new one; nil while another scheduler does that.
  ///
  /// Whoever raises an epoch establishes it, and nobody else: established once more after Redis was emptied again, it
  /// would look as if Redis still knew what was enqueued under it.
  private func currentEpoch() async throws -> Int64? {
    let known = try await metadata.read { try await $0.queueEpoch() }
    let (claimed, runID) = (try await queue.epoch(), try await queue.serverRunID())
    if claimed == known.epoch, runID == known.redisRunID { return known.epoch }
    let raised = try await metadata.transaction {
      try await $0.raiseEpoch(known: known.epoch, claimed: claimed, redisRunID: runID)
    }
    guard let epoch = raised else { return nil }
    // A crash before this leaves Redis behind the ledger, and the next look raises the epoch again.
    _ = try await queue.establish(epoch: epoch)
    Counter(label: MetricName.epochsRaised).increment()
    logger.notice(
      "Redis lost its memory of the queue, or may have; filling it again", metadata: ["epoch": "\(epoch)"])
    return epoch
  }

  private func enqueueBatch(_ epoch: Int64) async throws -> Int {
    let count = try await metadata.transaction { metadata -> Int in
      guard let jobs = try await metadata.outbox(epoch: epoch, limit: configuration.outboxBatch), !jobs.isEmpty else {
        return 0
      }
      _ = try await queue.enqueue(
        jobs.map {
          QueuedJob(
            number: $0.id, lane: LaneID(connection: $0.parkedBy, lane: $0.lane), jobClass: $0.jobClass,
            delay: $0.delay)
        }, epoch: epoch)
      try await metadata.markEnqueued(jobs.map(\.id), epoch: epoch)
      return jobs.count
    }
    if count > 0 { Counter(label: MetricName.jobsEnqueued).increment(by: count) }
    return count
  }

  /// Does the leader's duties for as long as the session that holds the leader's lock lives.
  private func lead() async throws {
    try await metadata.dedicated { session in
      while !Task.isCancelled {
        if try await session.tryToLead() { try await duties.round() }
        try await Task.sleep(for: configuration.dutyInterval)
      }
    }
  }
}
