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
      configuration: configuration, queue: queue, ledger: ledger, instanceState: instanceState,
      surroundings: surroundings, logger: logger)
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
      var agreement: Agreement?
      var announced: Set<JobClass> = []
      while !Task.isCancelled {
        progress.note()
        do {
          if try await !handOver(announced, agreement, session) { try await emptyOutbox(session, &agreement) }
        } catch let error as JobQueueError where error.code == .epochLost {
          // Lost in this very moment: the next round begins a new epoch.
          agreement = nil
          continue
        }
        announced = try await session.awaitOutbox(atMost: configuration.outboxPoll)
      }
    }
  }

  /// Hands over what was announced without a look at anything else, which would be a good part of a job's way: in an epoch
  /// that Redis and the ledger refuse once it is another's.
  ///
  /// - Returns: False if there is, or may be, more than that.
  private func handOver(
    _ announced: Set<JobClass>, _ agreement: Agreement?, _ session: any LedgerSession
  ) async throws -> Bool {
    guard let agreement, isFresh(agreement), !announced.isEmpty else { return false }
    var state = agreement.state
    guard !state.isFull, state.fullConnections.isEmpty else { return false }
    (state.outboxClasses, state.refillClasses) = (announced, [])
    var hasMore = false
    for jobClass in state.waitingClasses {
      var round = OutboxRound()
      if try await enqueueBatch(of: jobClass, state, session, &round) { hasMore = true }
    }
    return !hasMore
  }

  /// Hands over what is in the outbox by rounds: in each round a batch of every class, revokes first, so that neither a
  /// million bulk jobs delay a revoke nor many revokes the others for ever; and each batch by turns of the connections. A
  /// full queue takes only revokes, and so it does of a full connection's jobs.
  private func emptyOutbox(_ session: any LedgerSession, _ agreement: inout Agreement?) async throws {
    var rounds: [JobClass: OutboxRound] = [:]
    var (isFirst, hasMore) = (true, true)
    while hasMore, var state = try await agreedState(session, &agreement) {
      if isFirst { state = try await lookForRoom(state, session) }
      (isFirst, hasMore) = (false, false)
      for jobClass in state.waitingClasses where !state.isFull || jobClass == .revoke {
        let mayHaveMore = try await enqueueBatch(
          of: jobClass, state, session, &rounds[jobClass, default: OutboxRound()])
        hasMore = hasMore || mayHaveMore
      }
    }
  }

  /// What Redis was seen to have in common with the ledger, and when.
  private struct Agreement {
    let seen: ContinuousClock.Instant
    /// As it was looked up last.
    var state: QueueState

    func holds(for now: QueueState) -> Bool { (now.epoch, now.rulesVersion) == (state.epoch, state.rulesVersion) }
  }

  private func isFresh(_ agreement: Agreement) -> Bool {
    agreement.seen.duration(to: surroundings.now) < configuration.outboxPoll
  }

  /// Between two polls Redis is taken to have what it had: it refuses jobs of another epoch than its own, and if it came
  /// back with an older memory of this one, the next poll notices, and brings everything once more.
  private func agreedState(
    _ session: any LedgerSession, _ agreement: inout Agreement?
  ) async throws -> QueueState? {
    let asked = surroundings.now
    // Of the session: one that only listens is silent, and would be taken for that of a stopped process.
    let known = try await session.queueState()
    if let agreed = agreement, isFresh(agreed), agreed.holds(for: known) {
      agreement?.state = known
      return known
    }
    agreement = nil
    guard let state = try await agree(on: known, session) else { return nil }
    // Before any job: what is paused must not begin because Redis has forgotten that it is.
    try await bringRules(state)
    agreement = Agreement(seen: asked, state: state)
    return state
  }

  /// What was full is so until it has room for a fifth of what it may hold, so that producers do not stop and go with
  /// every job.
  private func lookForRoom(_ state: QueueState, _ session: any LedgerSession) async throws -> QueueState {
    func isRoom(_ depth: Int, of most: Int) -> Bool { depth <= most * 4 / 5 }
    if state.isFull, isRoom(try await queue.depth(), of: queue.mostWaiting) { try await note(isFull: false) }
    if !state.fullConnections.isEmpty {
      let depths = try await queue.depths(of: state.fullConnections)
      let free = depths.filter { isRoom($0.value, of: queue.mostWaitingOfConnection) }
      if !free.isEmpty { _ = try await note(Set(free.keys), areFull: false) }
    }
    return state.isFull || !state.fullConnections.isEmpty ? try await session.queueState() : state
  }

  private func note(isFull: Bool) async throws {
    guard try await ledger.noteQueue(isFull: isFull) else { return }
    if isFull { Counter(label: MetricName.queueFull).increment() }
    logger.notice(
      isFull
        ? "the queue is full: only revokes are handed over, and producers are told to slow down"
        : "the queue has room again", metadata: ["limit": "\(queue.mostWaiting)"])
  }

  /// - Returns: Whether that was news.
  private func note(_ connections: Set<Int64>, areFull: Bool) async throws -> Bool {
    let news = try await ledger.noteConnections(connections, areFull: areFull)
    if areFull { Counter(label: MetricName.connectionsFull).increment(by: news.count) }
    for connection in news {
      logger.notice(
        areFull
          ? "the queue is full of a connection's jobs: only its revokes are handed over, and its producers are told to slow down"
          : "the queue has room again for a connection's jobs",
        metadata: ["connection": "\(connection)", "limit": "\(queue.mostWaitingOfConnection)"])
    }
    return !news.isEmpty
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
  private func agree(on known: QueueState, _ session: any LedgerSession) async throws -> QueueState? {
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
    return try await session.queueState()
  }

  /// Redis works by a copy of the operators' rules, which it lost with its memory, or which they have changed since.
  private func bringRules(_ state: QueueState) async throws {
    if try await queue.rulesVersion() == state.rulesVersion { return }
    let rules = try await ledger.queueRules()
    guard try await queue.apply(QueueRules(rules)) else { return }
    logger.info("Redis has the rules of the queue", metadata: ["version": "\(rules.version)"])
  }

  /// Connections of which Redis takes in no more.
  private struct FullConnections: Error {
    let connections: Set<Int64>
  }

  /// - Returns: Whether there may be more to hand over.
  private func enqueueBatch(
    of jobClass: JobClass, _ state: QueueState, _ session: any LedgerSession, _ round: inout OutboxRound
  ) async throws -> Bool {
    do {
      let count = try await session.handOver(jobClass, in: state, round: &round, limit: configuration.outboxBatch) {
        jobs in
        let full = try await queue.enqueue(jobs.map(QueuedJob.init), epoch: state.epoch).full
        // All of them stay in the outbox. Those that Redis took in are told once more, in a batch without the full ones.
        if !full.isEmpty { throw FullConnections(connections: full) }
      }
      if count > 0 { Counter(label: MetricName.jobsEnqueued).increment(by: count) }
      return round.hasMore
    } catch let error as JobQueueError where error.code == .full {
      try await note(isFull: true)
      return true
    } catch let full as FullConnections {
      return try await note(full.connections, areFull: true)
    }
  }

  /// Does the leader's duties for as long as the session that holds the leader's lock lives.
  private func lead() async throws {
    try await ledger.withSession { session in try await duties.run { try await session.tryToLead() } }
  }
}

extension QueuedJob {
  package init(_ job: OutboxJob) {
    self.init(
      number: job.id, lane: LaneID(connection: job.parkedBy, lane: job.lane), jobClass: job.jobClass, kind: job.kind,
      delay: job.delay)
  }
}
