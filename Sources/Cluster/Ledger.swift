import Metadata
import Platform

/// What schedulers and workers need of the job ledger: the metadata database, or a simulation's. Each call is one
/// transaction, unless it says otherwise.
package protocol Ledger: Sendable {
  /// Whether an error says that the ledger does not answer now, so that trying again later helps.
  func isOutage(_ error: any Error) -> Bool

  // A worker's.
  /// Claims jobs that are to run; what is given up instead, because its workers vanished on it, is on the disk.
  func claim(_ jobs: [Int64], fence: Fence, worker: String) async throws -> Claim
  /// Writes results under the fence and returns the state of each job whose result was accepted; the others were stale.
  func settle(_ results: [JobResult], fence: Fence) async throws -> [Int64: JobState]
  /// Claims jobs and settles them at once, without a run.
  func decide(
    _ jobs: [Int64], fence: Fence, worker: String, _ result: @escaping @Sendable (ClaimedJob) -> JobResult
  ) async throws -> (claim: Claim, results: [JobResult], states: [Int64: JobState])
  /// Gives claimed jobs back as if they had not been claimed.
  func release(_ jobs: [Int64], fence: Fence) async throws
  func submitSync(of connection: Int64) async throws
  /// Reports how a connection is; it never overrides what an operator decided.
  func report(_ state: Connection.State, of connection: Int64, reason: String?) async throws
  /// Notes why an active connection could not be worked just now; its state stays.
  func noteTrouble(with connection: Int64, _ reason: String) async throws

  // A scheduler's.
  /// Runs `body` with a session of its own, for what lasts as long as a session.
  func withSession(_ body: @Sendable (any LedgerSession) async throws -> Void) async throws
  /// Notes that the queue is full, or that there is room again; false if that was known.
  func noteQueue(isFull: Bool) async throws -> Bool
  /// Of several schedulers one raises the epoch; nil for the others.
  func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64?
  /// The operators' rules; `QueueState` has their version.
  func queueRules() async throws -> StoredQueueRules
  /// Notes that the queue is full of these connections' jobs, or has room for them again; returns those of which that
  /// was not known.
  func noteConnections(_ connections: Set<Int64>, areFull: Bool) async throws -> Set<Int64>
  /// Ends subscriptions and policies that have expired, and returns the number of subscriptions; two transactions.
  func endExpired(limit: Int) async throws -> Int
  func connectionsDueForSync(limit: Int) async throws -> [Connection]
  /// Postpones the next periodic sync of a connection, and submits this one unless it is skipped.
  func planSync(of connection: Int64, skippingThis: Bool) async throws
  func connectionsDueForSweep(limit: Int) async throws -> [Connection]
  /// As `planSync`, of the sweep for drift.
  func planSweep(of connection: Int64, skippingThis: Bool) async throws
  func dueProbes(limit: Int) async throws -> [(connection: Connection, failures: Int)]
  func planProbe(of connection: Int64, after delay: Duration) async throws
  /// Deletes finished jobs that are older, and returns how many.
  func pruneJobs(olderThan age: Duration, limit: Int) async throws -> Int
  /// Deletes dead letters that are older, and returns how many.
  func pruneDeadLetters(olderThan age: Duration, limit: Int) async throws -> Int
}

/// A session of the ledger: what it listens to and what it locks end with it.
package protocol LedgerSession: Sendable {
  /// Hears of new jobs from now on.
  func listenToOutbox() async throws
  /// Waits until new jobs or rules are announced, or the time has passed; returns the classes of the jobs, if nothing but
  /// jobs was announced.
  func awaitOutbox(atMost longest: Duration) async throws -> Set<JobClass>
  func queueState() async throws -> QueueState
  /// Hands jobs of a class that the queue has not been told of to `enqueue`, about `limit` new ones and as many that it
  /// has forgotten, and notes that it was told. Full connections are passed over, except for revokes.
  ///
  /// - Parameters:
  ///   - state: As it was read just now.
  ///   - round: Where the rounds of this class have come to; moved on.
  /// - Returns: How many; none while another scheduler does this.
  func handOver(
    _ jobClass: JobClass, in state: QueueState, round: inout OutboxRound, limit: Int,
    _ enqueue: @Sendable ([OutboxJob]) async throws -> Void
  ) async throws -> Int
  /// True if this session leads now.
  func tryToLead() async throws -> Bool
  /// True if this session may raise the queue's epoch now.
  func tryToKeepQueue() async throws -> Bool
}

extension MetadataSession: LedgerSession {
  package func listenToOutbox() async throws { try await listen(to: Self.outboxChannel) }

  package func handOver(
    _ jobClass: JobClass, in state: QueueState, round: inout OutboxRound, limit: Int,
    _ enqueue: @Sendable ([OutboxJob]) async throws -> Void
  ) async throws -> Int {
    let before = round
    let (count, after) = try await connection.transaction { connection in
      let session = MetadataSession(connection: connection)
      var (jobs, after) = ([OutboxJob](), OutboxRound())
      func take(_ page: OutboxPage) -> Int64? {
        jobs += page.jobs
        after.hasMore = after.hasMore || page.hasMore
        return page.next
      }
      // New ones do not wait until Redis has been told again of all that it has forgotten, nor the other way round.
      let full = jobClass == .revoke ? [] : state.fullConnections
      if state.outboxClasses.contains(jobClass) {
        after.outbox = take(
          try await session.takeOutbox(
            jobClass, epoch: state.epoch, limit: limit, after: before.outbox, without: full))
      }
      if state.refillClasses.contains(jobClass) {
        after.refill = take(
          try await session.takeRefill(
            jobClass, epoch: state.epoch, limit: limit, after: before.refill, without: full))
      }
      if !jobs.isEmpty { try await enqueue(jobs) }
      return (jobs.count, after)
    }
    round = after
    return count
  }
}

extension MetadataDatabase: Ledger {
  package func isOutage(_ error: any Error) -> Bool { Self.isOutage(error) }

  package func settle(_ results: [JobResult], fence: Fence) async throws -> [Int64: JobState] {
    // A failure may end its job, which is a second statement.
    let isOne = !results.contains { if case .retryable = $0.outcome { true } else { false } }
    let settle: @Sendable (MetadataSession) async throws -> [Int64: JobState] = {
      try await $0.settle(results, fence: fence, retryLimit: retryLimit)
    }
    return try await isOne ? statement(settle) : transaction(settle)
  }

  package func decide(
    _ jobs: [Int64], fence: Fence, worker: String, _ result: @escaping @Sendable (ClaimedJob) -> JobResult
  ) async throws -> (claim: Claim, results: [JobResult], states: [Int64: JobState]) {
    try await transaction { session in
      let claim = try await session.claim(jobs, fence: fence, worker: worker)
      try await session.tellPoisoned(claim.poisoned, worker: worker)
      let results = claim.claimed.map(result)
      let states = try await session.settle(results, fence: fence, retryLimit: retryLimit)
      return (claim, results, states)
    }
  }

  package func release(_ jobs: [Int64], fence: Fence) async throws {
    try await statement { try await $0.release(jobs, fence: fence) }
  }

  package func submitSync(of connection: Int64) async throws {
    _ = try await transaction { try await $0.submitSync(of: connection) }
  }

  package func report(_ state: Connection.State, of connection: Int64, reason: String?) async throws {
    _ = try await transaction {
      try await $0.setState(of: connection, to: state, reason: reason, unless: [.inactive])
    }
  }

  package func noteTrouble(with connection: Int64, _ reason: String) async throws {
    _ = try await transaction {
      try await $0.setState(of: connection, to: .active, reason: reason, unless: [.inactive, .stopped, .unhealthy])
    }
  }

  package func withSession(_ body: @Sendable (any LedgerSession) async throws -> Void) async throws {
    try await dedicated { try await body($0) }
  }

  package func noteQueue(isFull: Bool) async throws -> Bool {
    try await transaction { try await $0.noteQueue(isFull: isFull) }
  }

  package func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64? {
    try await transaction { try await $0.raiseEpoch(known: known, claimed: claimed, redisRunID: redisRunID) }
  }

  package func queueRules() async throws -> StoredQueueRules { try await read { try await $0.queueRules() } }

  package func noteConnections(_ connections: Set<Int64>, areFull: Bool) async throws -> Set<Int64> {
    try await transaction { try await $0.noteConnections(connections, areFull: areFull) }
  }
}

extension MetadataDatabase {
  package func endExpired(limit: Int) async throws -> Int {
    let ended = try await transaction { try await $0.expireSubscriptions(limit: limit) }
    try await transaction { session in
      if try await session.noteExpiredPolicies() { _ = try await session.submitEvaluations() }
    }
    return ended
  }

  package func connectionsDueForSync(limit: Int) async throws -> [Connection] {
    try await read { session in
      try await session.connections(numbered: try await session.connectionsDueForSync(limit: limit))
    }
  }

  package func connectionsDueForSweep(limit: Int) async throws -> [Connection] {
    try await read { session in
      try await session.connections(numbered: try await session.connectionsDueForSweep(limit: limit))
    }
  }

  package func planSweep(of connection: Int64, skippingThis: Bool) async throws {
    try await transaction { session in
      try await session.postponeSweep(of: connection)
      if !skippingThis { try await session.submitSweep(of: connection) }
    }
  }

  package func planSync(of connection: Int64, skippingThis: Bool) async throws {
    try await transaction { session in
      try await session.postponeSync(of: connection)
      if !skippingThis { _ = try await session.submitSync(of: connection) }
    }
  }

  package func dueProbes(limit: Int) async throws -> [(connection: Connection, failures: Int)] {
    try await read { try await $0.dueProbes(limit: limit) }
  }

  package func planProbe(of connection: Int64, after delay: Duration) async throws {
    try await transaction { try await $0.planProbe(of: connection, after: delay) }
  }

  package func pruneJobs(olderThan age: Duration, limit: Int) async throws -> Int {
    try await transaction { try await $0.pruneJobs(olderThan: age, limit: limit) }
  }

  package func pruneDeadLetters(olderThan age: Duration, limit: Int) async throws -> Int {
    try await transaction { try await $0.pruneDeadLetters(olderThan: age, limit: limit) }
  }
}

extension MetadataSession {
  fileprivate func connections(numbered ids: [Int64]) async throws -> [Connection] {
    var found: [Connection] = []
    for id in ids { found.append(try await connection(id: id)) }
    return found
  }
}
