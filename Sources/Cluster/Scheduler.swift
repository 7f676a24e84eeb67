import Databricks
import JobQueue
import Logging
import Metadata
import Metrics
import Platform
import ServiceLifecycle

/// Copies jobs from the ledger into Redis, and does the duties that need a leader. Any number of schedulers may run.
package struct Scheduler: Service {
  let configuration: SchedulerConfiguration
  let queue: any WorkQueue
  let ledger: any Ledger
  let duties: Duties
  let surroundings: any Surroundings
  let logger: Logger
  package let progress = LoopProgress()

  /// - Parameter instanceState: asks the instance's API; nil where there is none.
  package init(
    configuration: SchedulerConfiguration, queue: any WorkQueue, ledger: any Ledger,
    instanceState: @escaping @Sendable (Connection) async throws -> InstanceState?,
    surroundings: any Surroundings = MachineSurroundings(), logger: Logger
  ) {
    self.configuration = configuration
    self.queue = queue
    self.ledger = ledger
    self.surroundings = surroundings
    self.logger = logger
    duties = Duties(
      configuration: configuration, queue: queue, ledger: ledger, instanceState: instanceState, logger: logger)
  }

  package func run() async throws {
    logger.info("scheduler started", metadata: ["scheduler": "\(configuration.name)"])
    await surroundings.cancelledByShutdown {
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
      let began = surroundings.now
      do { try await body() } catch {
        if Task.isCancelled { return }
        failures = began.duration(to: surroundings.now) > .seconds(10) ? 1 : failures + 1
        logger.warning("scheduler: \(name) interrupted; trying again", metadata: ["error": "\(error)"])
        // best effort: a cancelled wait ends at once, and so does the loop
        try? await surroundings.sleep(for: surroundings.delay(configuration.outageBackoff, failures: failures))
      }
    }
  }

  private func emptyOutboxOnAnnouncement() async throws {
    try await ledger.withSession { session in
      try await session.listenToOutbox()
      while !Task.isCancelled {
        progress.note()
        do { try await emptyOutbox(session) } catch let error as JobQueueError where error.code == .epochLost {
          // Lost in this very moment: the next round begins a new epoch.
          continue
        }
        try await session.awaitOutbox(atMost: configuration.outboxPoll)
      }
    }
  }

  /// Hands over what is in the outbox by rounds: in each round a batch of every class, revokes first, so that neither a
  /// million bulk jobs delay a revoke nor many revokes the others for ever. A full queue takes only revokes.
  private func emptyOutbox(_ session: any LedgerSession) async throws {
    guard var state = try await agreedState(session) else { return }
    // Before any job: what is paused must not begin because Redis has forgotten that it is.
    try await bringRules(state)
    var isFull = try await isStillFull(state)
    var count = 1
    while count > 0 && !state.outboxClasses.isEmpty {
      count = 0
      for jobClass in state.outboxClasses where !isFull || jobClass == .revoke {
        do { count += try await enqueueBatch(of: jobClass, state.epoch) } catch let error as JobQueueError
          where error.code == .full
        {
          isFull = true
          try await note(isFull: true)
        }
      }
      state = try await ledger.queueState()
      try await bringRules(state)
    }
  }

  /// A queue that was full is so until it has room for a fifth of what it may hold, so that producers do not stop and go
  /// with every job.
  private func isStillFull(_ state: QueueState) async throws -> Bool {
    guard state.isFull else { return false }
    if try await queue.depth() > queue.mostWaiting * 4 / 5 { return true }
    try await note(isFull: false)
    return false
  }

  private func note(isFull: Bool) async throws {
    guard try await ledger.noteQueue(isFull: isFull) else { return }
    if isFull { Counter(label: MetricName.queueFull).increment() }
    logger.notice(
      isFull
        ? "the queue is full: only revokes are handed over, and producers are told to slow down"
        : "the queue has room again", metadata: ["limit": "\(queue.mostWaiting)"])
  }

  /// The queue's state in an epoch that Redis and the ledger agree on. A Redis without a memory, with another epoch's,
  /// or of another run (a restart or a failover may have lost the last of it) begins a new one; nil while another
  /// scheduler does that.
  ///
  /// Whoever raises an epoch establishes it, and nobody else: established once more after Redis was emptied again, it
  /// would look as if Redis still knew what was enqueued under it.
  ///
  /// One scheduler at a time may raise epochs: two that reach different servers, as when one is cut off from the new
  /// primary, would each take the queue away from the other, again and again. It loses that right with its session, which
  /// ends when it does not reach Redis.
  private func agreedState(_ session: any LedgerSession) async throws -> QueueState? {
    let known = try await ledger.queueState()
    let (claimed, runID) = (try await queue.epoch(), try await queue.serverRunID())
    if claimed == known.epoch, runID == known.redisRunID { return known }
    guard try await session.tryToKeepQueue() else {
      queue.reconnect()
      return nil
    }
    let raised = try await ledger.raiseEpoch(known: known.epoch, claimed: claimed, redisRunID: runID)
    guard let epoch = raised else { return nil }
    // A crash before this leaves Redis behind the ledger, and the next look raises the epoch again.
    _ = try await queue.establish(epoch: epoch)
    Counter(label: MetricName.epochsRaised).increment()
    logger.notice(
      "Redis lost its memory of the queue, or may have; filling it again", metadata: ["epoch": "\(epoch)"])
    return try await ledger.queueState()
  }

  /// Redis works by a copy of the operators' rules, which it lost with its memory, or which they have changed since.
  private func bringRules(_ state: QueueState) async throws {
    if try await queue.rulesVersion() == state.rulesVersion { return }
    let rules = try await ledger.queueRules()
    guard try await queue.apply(QueueRules(rules)) else { return }
    logger.info("Redis has the rules of the queue", metadata: ["version": "\(rules.version)"])
  }

  private func enqueueBatch(of jobClass: JobClass, _ epoch: Int64) async throws -> Int {
    let count = try await ledger.handOver(jobClass, epoch: epoch, limit: configuration.outboxBatch) { jobs in
      _ = try await queue.enqueue(
        jobs.map {
          QueuedJob(
            number: $0.id, lane: LaneID(connection: $0.parkedBy, lane: $0.lane), jobClass: $0.jobClass,
            kind: $0.kind, delay: $0.delay)
        }, epoch: epoch)
    }
    if count > 0 { Counter(label: MetricName.jobsEnqueued).increment(by: count) }
    return count
  }

  /// Does the leader's duties for as long as the session that holds the leader's lock lives.
  private func lead() async throws {
    try await ledger.withSession { session in
      while !Task.isCancelled {
        if try await session.tryToLead() { try await duties.round() }
        try await surroundings.sleep(for: configuration.dutyInterval)
      }
    }
  }
}
