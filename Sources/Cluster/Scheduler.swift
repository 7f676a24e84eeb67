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
        try await emptyOutbox()
        try await session.awaitAnnouncement(until: .after(configuration.outboxPoll))
      }
    }
  }

  private func emptyOutbox() async throws {
    if try await queue.epoch() == nil { try await raiseEpoch() }
    while try await enqueueBatch() == configuration.outboxBatch {}
  }

  private func enqueueBatch() async throws -> Int {
    do {
      let count = try await metadata.transaction { metadata -> Int in
        guard let jobs = try await metadata.outbox(limit: configuration.outboxBatch), !jobs.isEmpty else { return 0 }
        _ = try await queue.enqueue(
          jobs.map(QueuedJob.init))
        try await metadata.markEnqueued(jobs.map(\.id))
        return jobs.count
      }
      if count > 0 { Counter(label: MetricName.jobsEnqueued).increment(by: count) }
      return count
    } catch let error as JobQueueError where error.code == .epochLost {
      try await raiseEpoch()
      return configuration.outboxBatch
    }
  }

  /// Redis has lost its memory. The ledger says first that nothing is enqueued, then Redis may start anew: whatever
  /// crashes in between is done again.
  ///
  /// Nobody may enqueue between the two, because a new epoch empties Redis of what came before it, and the ledger would
  /// take that for enqueued.
  private func raiseEpoch() async throws {
    try await metadata.dedicated { session in
      try await session.holdOutbox()
      // Another scheduler may have done it while this one waited.
      guard try await queue.epoch() == nil else { return }
      let epoch = try await metadata.transaction { try await $0.raiseEpoch() }
      _ = try await queue.establish(epoch: epoch)
      Counter(label: MetricName.epochsRaised).increment()
      logger.notice("Redis had no memory of the queue; filling it again", metadata: ["epoch": "\(epoch)"])
    }
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
