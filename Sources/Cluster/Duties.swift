import Databricks
import Enforcement
import JobQueue
import Logging
import Metadata
import Metrics
import Platform

/// What only the leader does. Each duty is harmless if two do it at the same time, and none waits for another that has to
/// ask somebody outside.
struct Duties: Sendable {
  let configuration: SchedulerConfiguration
  let queue: any WorkQueue
  let ledger: any Ledger
  /// The instance's state as its API tells it; nil where there is none to ask.
  let instanceState: @Sendable (Connection) async throws -> InstanceState?
  let surroundings: any Surroundings
  let logger: Logger

  /// Does all duties again and again, until one fails.
  ///
  /// - Parameter leads: whether this process leads now; asked before each round
  func run(while leads: @escaping @Sendable () async throws -> Bool) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await rounds(while: leads) { try await keepLedger() } }
      group.addTask { try await askInstances(while: leads) }
      // The first that fails ends the other.
      _ = try await group.next()
    }
  }

  private func rounds(
    while leads: @Sendable () async throws -> Bool, _ body: () async throws -> Void
  ) async throws {
    while !Task.isCancelled {
      if try await leads() { try await body() }
      try await surroundings.sleep(for: configuration.dutyInterval)
    }
  }

  /// What the metadata database alone is needed for.
  private func keepLedger() async throws {
    let ended = try await ledger.endExpired(limit: configuration.roundLimit)
    if ended > 0 { logger.info("subscriptions expired", metadata: ["count": "\(ended)"]) }
    let limit = configuration.roundLimit
    try await prune { try await ledger.pruneJobs(olderThan: configuration.jobRetention, limit: limit) }
    let dead = try await prune {
      try await ledger.pruneDeadLetters(olderThan: configuration.deadRetention, limit: limit)
    }
    guard dead > 0 else { return }
    Counter(label: MetricName.deadPruned).increment(by: dead)
    logger.notice("dead letters that nobody decided about were deleted", metadata: ["count": "\(dead)"])
  }

  /// Repeats `delete` until it finds less than a round's limit, or has had its time.
  @discardableResult
  private func prune(_ delete: () async throws -> Int) async throws -> Int {
    let limit = Deadline(surroundings.now.advanced(by: configuration.pruneTime))
    var (total, count) = (0, 0)
    repeat {
      count = try await delete()
      total += count
    } while count >= configuration.roundLimit && !surroundings.hasPassed(limit)
    return total
  }
}

// What instances are asked.
extension Duties {
  /// Asks after instances that do not run, each at its own growing intervals, however many jobs wait for it, and before
  /// periodic syncs and sweeps of those that may sleep.
  private func askInstances(while leads: @Sendable () async throws -> Bool) async throws {
    let questions = Questions(
      most: configuration.questionsAtOnce, mostOfWorkspace: configuration.questionsOfWorkspace)
    try await withThrowingDiscardingTaskGroup { group in
      try await rounds(while: leads) {
        questions.offer(try await dueQuestions())
        while let first = questions.next() {
          group.addTask {
            var next: Questions.Question? = first
            while let question = next {
              try await pursue(question)
              questions.end(question)
              next = questions.next()
            }
          }
        }
      }
    }
  }

  /// What has to be asked now. Syncs and sweeps for which nothing has to be asked are submitted at once.
  private func dueQuestions() async throws -> [Questions.Question] {
    var due = try await ledger.dueProbes(limit: configuration.roundLimit).map { connection, failures in
      Questions.Question.probe(connection, failures: failures)
    }
    for connection in try await ledger.connectionsDueForSync(limit: configuration.roundLimit) {
      // The autoscaling kind wakes by being connected to.
      if case .endpoint = connection.instance {
        due.append(.sync(connection))
      } else {
        try await ledger.planSync(of: connection.id, skippingThis: false)
      }
    }
    for connection in try await ledger.connectionsDueForSweep(limit: configuration.roundLimit) {
      if case .endpoint = connection.instance {
        due.append(.sweep(connection))
      } else {
        try await ledger.planSweep(of: connection.id, skippingThis: false)
      }
    }
    return due
  }

  private func pursue(_ question: Questions.Question) async throws {
    switch question {
    case .sync(let connection):
      // A periodic sync is no reason to wake somebody's sleeping database. If nobody tells, the sync itself finds out.
      try await ledger.planSync(of: connection.id, skippingThis: try await isAsleep(connection))
    case .sweep(let connection):
      try await ledger.planSweep(of: connection.id, skippingThis: try await isAsleep(connection))
    case .probe(let connection, let failures):
      Counter(label: MetricName.probes).increment()
      // Plain PostgreSQL has no API to ask: its own lanes, half-open, are the probe.
      let isRunning = try await ask(connection) { $0?.isConnectable ?? true } ?? false
      // Woken first: after a crash in between it is still due, and is woken once more.
      if isRunning, try await wake(connection), connection.state == .stopped {
        try await ledger.report(.active, of: connection.id, reason: nil)
      } else {
        try await ledger.planProbe(of: connection.id, after: configuration.probeDelay(failures: failures))
      }
    }
  }

  private func isAsleep(_ connection: Connection) async throws -> Bool {
    try await ask(connection) { $0 == .idle } ?? false
  }

  /// False if Redis could not be told.
  private func wake(_ connection: Connection) async throws -> Bool {
    logger.info("instance answers; waking its lanes", metadata: ["connection": "\(connection.name)"])
    do { try await queue.wake(connection: connection.id) } catch {
      if error.code == .cancelled { throw error }
      logger.warning(
        "could not wake its lanes", metadata: ["connection": "\(connection.name)", "error": "\(error)"])
      return false
    }
    return true
  }

  /// What the instance's API says, put into words by `read`; nil if it does not say within `questionLimit`. Whatever it is
  /// (a refused secret, a key file that is not the right one), it concerns this connection alone.
  private func ask(_ connection: Connection, _ read: (InstanceState?) -> Bool) async throws -> Bool? {
    do {
      return read(try await answer(connection))
    } catch {
      if ledger.isOutage(error) || error is CancellationError { throw error }
      Counter(label: MetricName.questionsFailed).increment()
      logger.info(
        "the instance could not be asked", metadata: ["connection": "\(connection.name)", "error": "\(error)"])
      return nil
    }
  }

  private func answer(_ connection: Connection) async throws -> InstanceState? {
    try await withThrowingTaskGroup(of: InstanceState?.self) { group in
      group.addTask { try await instanceState(connection) }
      group.addTask {
        try await surroundings.sleep(for: configuration.questionLimit)
        throw TargetError(
          .soon(after: nil), "no answer within \(configuration.questionLimit)",
          remedy: "nothing: it is asked again; if it stays, see that the workspace answers")
      }
      let first = try await group.next()
      group.cancelAll()
      return first.flatMap(\.self)
    }
  }
}
