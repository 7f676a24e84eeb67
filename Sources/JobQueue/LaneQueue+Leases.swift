import Platform
import Redis

extension LaneQueue {
  /// Leases the lane whose turn it is, with up to `limit` of its jobs (`longestBatch` at most), and at least one of each
  /// class that waits in it.
  package func lease(
    worker: String, limit: Int, classes: Set<JobClass> = Set(JobClass.allCases)
  ) async throws(JobQueueError) -> LeaseReply {
    let asked = ContinuousClock.now
    let reply = try await run(.lease, leaseArguments(worker, limit, classes))
    return try leaseReply(reply, worker: worker, asked: asked)
  }

  /// Ends a lease. Jobs that are not mentioned wait again at once; jobs of other leases are not touched.
  ///
  /// - Throws: `.fenced` if the lease is not current any more: nothing was changed, and its jobs run again.
  package func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) async throws(JobQueueError) {
    _ = try await run(.settle, settleArguments(lease, settlements))
  }

  /// Ends a lease and takes the next one in the same step.
  ///
  /// - Throws: As `settle`; then nothing is leased.
  package func settle(
    _ lease: Lease, _ settlements: [Int64: Settlement], thenLeaseAs worker: String, limit: Int,
    classes: Set<JobClass> = Set(JobClass.allCases)
  ) async throws(JobQueueError) -> LeaseReply {
    let asked = ContinuousClock.now
    let arguments = leaseArguments(worker, limit, classes) + settleArguments(lease, settlements)
    return try leaseReply(try await run(.settleAndLease, arguments), worker: worker, asked: asked)
  }

  /// Gives a lease back, as at shutdown: its jobs wait again, and nothing counts against them.
  package func release(_ lease: Lease) async throws(JobQueueError) { try await settle(lease, [:]) }

  /// Lets a lease last `leaseTTL` from now.
  ///
  /// - Returns: False if it is not ours any more: stop working on it.
  package func extend(_ lease: Lease) async throws(JobQueueError) -> Bool {
    let reply = try await run(.extend, fenceArguments(lease) + [leaseMilliseconds])
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// Parks a connection: none of its lanes is leased until `duration` has passed or it is woken; then one batch tries
  /// it before the rest. Leases of its lanes that are out go on. Costs the same however many lanes it has.
  ///
  /// - Parameter lease: A lease to give back in the same step.
  /// - Throws: `.fenced` if that lease is not current; then nothing is parked.
  package func park(
    connection: Int64, for duration: Duration, releasing lease: Lease? = nil
  ) async throws(JobQueueError) {
    precondition(connection > 0, "lanes of connection 0 are parked by nobody")
    try await park(LaneID.connectionText(connection), duration, lease)
  }

  /// Parks one lane: it is not leased until `duration` has passed or it is woken.
  ///
  /// - Parameter lease: A lease to give back in the same step.
  /// - Throws: `.fenced` if that lease is not current; then nothing is parked.
  package func park(lane: LaneID, for duration: Duration, releasing lease: Lease? = nil) async throws(JobQueueError) {
    try await park(lane.description, duration, lease)
  }

  private func park(_ subject: String, _ duration: Duration, _ lease: Lease?) async throws(JobQueueError) {
    let arguments = [subject, String(max(1, duration.wholeMilliseconds))]
    _ = try await run(.park, arguments + (lease.map(fenceArguments) ?? []))
  }

  /// Lets one batch of a parked connection try it; when that settles with anything but giving all jobs back, the rest
  /// follows.
  ///
  /// - Returns: False if the connection is not parked, or is being tried already.
  @discardableResult
  package func wake(connection: Int64) async throws(JobQueueError) -> Bool {
    try await wake(LaneID.connectionText(connection))
  }

  /// Lets a parked lane be leased again.
  ///
  /// - Returns: False if it is not parked.
  @discardableResult
  package func wake(lane: LaneID) async throws(JobQueueError) -> Bool { try await wake(lane.description) }

  private func wake(_ subject: String) async throws(JobQueueError) -> Bool {
    let reply = try await run(.wake, [subject])
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// Replaces the rules: pauses, weights, caps. What is leased goes on.
  ///
  /// - Returns: False if the queue has this version of the rules already, or a newer one.
  @discardableResult
  package func apply(_ rules: QueueRules) async throws(JobQueueError) -> Bool {
    precondition(
      rules.connections.count + rules.lanes.count <= QueueRules.mostEntries, "the ledger keeps rules within the limit")
    let reply = try await run(.rules, rules.arguments)
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// The version of the rules that the queue has; nil if it has none.
  package func rulesVersion() async throws(JobQueueError) -> Int64? {
    let reply = try await requesting { () throws(RedisError) in try await client.send(["HGET", keys.rules, "version"]) }
    return reply.text.flatMap { Int64($0) }
  }
}

extension LaneQueue {
  private var leaseMilliseconds: String { String(configuration.leaseTTL.wholeMilliseconds) }

  private func leaseArguments(_ worker: String, _ limit: Int, _ classes: Set<JobClass>) -> [String] {
    precondition(limit > 0 && !classes.isEmpty, "a lease needs room for a job, and a class")
    let digits = classes.sorted().map { String($0.rawValue) }.joined()
    return [worker, String(min(limit, Self.longestBatch)), leaseMilliseconds, digits]
  }

  private func fenceArguments(_ lease: Lease) -> [String] {
    [lease.lane.description, String(lease.fence.epoch), String(lease.fence.sequence)]
  }

  private func settleArguments(_ lease: Lease, _ settlements: [Int64: Settlement]) -> [String] {
    let strangers = Set(settlements.keys).subtracting(lease.jobs)
    precondition(strangers.isEmpty, "a lease settles only its own jobs, not \(strangers.sorted())")
    // What most jobs come to is said once, and the others are named.
    var tally: [Settlement: Int] = [:]
    for number in lease.jobs { tally[settlements[number] ?? .back, default: 0] += 1 }
    let usual = tally.max { $0.value < $1.value }?.key ?? .back
    var arguments = fenceArguments(lease) + [usual.text]
    if tally.count == 1 { return arguments }
    for number in lease.jobs {
      let settlement = settlements[number] ?? .back
      if settlement != usual { arguments += [QueuedJob.text(of: number), settlement.text] }
    }
    return arguments
  }

  private func leaseReply(
    _ reply: RedisValue, worker: String, asked: ContinuousClock.Instant
  ) throws(JobQueueError) -> LeaseReply {
    try decoding { () throws(RedisError) in
      let fields = try reply.requireArray(atLeast: 1)
      let due = try fields[fields.count - 1].requireInteger()
      let nextDue: Duration? = due < 0 ? nil : .milliseconds(due)
      if fields.count == 1 { return .empty(nextDue: nextDue) }
      guard fields.count == 6, let lane = LaneID(try fields[0].requireText()) else {
        throw RedisError(.protocolViolation, "the lease script answered with something else than a lease")
      }
      let fence = Fence(epoch: try fields[1].requireInteger(), sequence: try fields[2].requireInteger())
      let (jobs, classStarts) = Self.jobs(inText: try fields[4].requireText())
      return .leased(
        Lease(
          lane: lane, fence: fence, jobs: jobs, classStarts: classStarts, worker: worker, ttl: configuration.leaseTTL,
          trustedUntil: Deadline(asked.advanced(by: configuration.leaseTTL)),
          isHalfOpen: try fields[3].requireInteger() == 1, nextDue: nextDue))
    }
  }

  /// Job numbers out of one string of `QueuedJob.textLength` bytes a job, and where each class begins.
  private static func jobs(inText text: String) -> (numbers: [Int64], classStarts: [Int]) {
    let bytes = Array(text.utf8)
    var (numbers, classStarts, seen) = ([Int64](), [Int](), Set<Int64>())
    var last: UInt8?
    for start in stride(from: 0, to: bytes.count, by: QueuedJob.textLength) {
      let number = bytes[(start + 1)..<(start + 16)].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
      // A job that was made more urgent may wait in its old class too.
      guard seen.insert(number).inserted else { continue }
      if bytes[start] != last { classStarts.append(numbers.count) }
      last = bytes[start]
      numbers.append(number)
    }
    return (numbers, classStarts)
  }
}
