import Platform
import Redis

/// The job queue of one shard: which job numbers are in motion, and who holds which lane until when.
///
/// All truth about jobs is in the ledger; what is here can be lost and is filled again from there. Every transition is
/// a Lua script and uses the clock of Redis, so clients agree however their clocks differ. All calls may be repeated; a
/// lease that is repeated takes another lane, and the first comes back when it expires.
package struct LaneQueue: Sendable {
  package struct Configuration: Sendable {
    /// First part of every key, for several clusters on one Redis.
    package var prefix: String
    package var shard: Int
    /// How long a lease holds when nothing extends it; extend about three times as often.
    package var leaseTTL: Duration
    /// The longest that `waitForWork` blocks, so that a connection that died unseen is noticed.
    package var longestWait: Duration
    /// How long `waitForWork` pauses at most when Redis cannot be reached; the pause is drawn from its upper four fifths.
    package var outagePause: Duration = .milliseconds(500)
    /// Waiting and delayed jobs beyond which `enqueue` is refused with `.full`; revokes always pass. A job takes less
    /// than 150 bytes of Redis.
    package var mostWaiting = 1_000_000 { didSet { mostWaitingOfConnection = max(mostWaiting / 10, 10_000) } }
    /// Waiting and delayed jobs of one connection beyond which `enqueue` passes over its others; revokes always pass.
    /// A tenth of `mostWaiting` unless set after it, and 10,000 at least: whoever is stopped leaves room for the others.
    /// A fifth of it should hold what the scheduler offers at once, which it offers again as a whole.
    package var mostWaitingOfConnection = 100_000

    package init(
      prefix: String = "sluice", shard: Int = 0, leaseTTL: Duration = .seconds(30), longestWait: Duration = .seconds(5)
    ) {
      self.prefix = prefix
      self.shard = shard
      self.leaseTTL = leaseTTL
      self.longestWait = longestWait
    }
  }

  /// Jobs of one call of the enqueue script, and of one lease: a longer script would delay everybody else.
  package static let longestBatch = 1000
  /// What one listing holds at most: lanes, leases, connections, workers, jobs of a lane.
  package static let longestListing = 1000
  /// Workers that were not heard of for so long are forgotten.
  package static let longestSilence: Duration = .seconds(600)

  package let configuration: Configuration
  let client: RedisClient
  let wakeClient: RedisClient
  let keys: ShardKeys
  let scripts: QueueScripts

  /// - Parameter wakeClient: A client of its own for `waitForWork`, because a blocked connection answers nothing else.
  package init(
    client: RedisClient, wakeClient: RedisClient, configuration: Configuration = Configuration(),
    scripts: QueueScripts = .embedded
  ) {
    self.scripts = scripts
    self.client = client
    self.wakeClient = wakeClient
    self.configuration = configuration
    keys = ShardKeys(prefix: configuration.prefix, shard: configuration.shard)
  }

  func run(_ script: QueueScripts.Name, _ arguments: [String]) async throws(JobQueueError) -> RedisValue {
    try await requesting { () throws(RedisError) in
      try await client.eval(scripts[script], keys: keys.all, arguments: arguments)
    }
  }
}

/// Redis errors in the words of the queue.
func requesting<Value>(_ body: () async throws(RedisError) -> Value) async throws(JobQueueError) -> Value {
  do throws(RedisError) {
    return try await body()
  } catch {
    throw JobQueueError(error)
  }
}

func decoding<Value>(_ body: () throws(RedisError) -> Value) throws(JobQueueError) -> Value {
  do throws(RedisError) {
    return try body()
  } catch {
    throw JobQueueError(error)
  }
}

extension LaneQueue {
  /// The epoch of the shard; nil if Redis has no memory of it.
  package func epoch() async throws(JobQueueError) -> Int64? {
    let reply = try await requesting { () throws(RedisError) in try await client.send(["GET", keys.epoch]) }
    return reply.integer
  }

  /// What became of jobs that were offered.
  package struct Enqueued: Sendable, Equatable {
    /// Jobs that the queue did not have.
    package var added = 0
    /// Connections of which it has as many jobs as it may: some of theirs were passed over, and may be offered again
    /// once `depths` says that there is room.
    package var full: Set<Int64> = []

    package init() {}
  }

  /// Puts jobs into their lanes, revokes first. A job that is already waiting, delayed or leased stays as it is, but a
  /// delayed one that is offered without a delay waits from now on.
  ///
  /// - Throws: `.epochLost` if Redis has another epoch's memory than the caller's ledger, or none; `.full` if there is
  ///   no room for some of the jobs: what was taken in until then stays, and all may be offered again.
  package func enqueue(
    _ jobs: [QueuedJob], epoch: Int64
  ) async throws(JobQueueError) -> Enqueued {
    let urgent = jobs.filter { $0.jobClass == .revoke }
    let others = urgent.isEmpty ? jobs : jobs.filter { $0.jobClass != .revoke }
    var enqueued = Enqueued()
    try await enqueue(urgent, [epoch, 0, 0], &enqueued)
    try await enqueue(
      others, [epoch, Int64(configuration.mostWaiting), Int64(configuration.mostWaitingOfConnection)], &enqueued)
    return enqueued
  }

  private func enqueue(
    _ jobs: [QueuedJob], _ limits: [Int64], _ enqueued: inout Enqueued
  ) async throws(JobQueueError) {
    for start in stride(from: 0, to: jobs.count, by: Self.longestBatch) {
      let batch = jobs[start..<min(start + Self.longestBatch, jobs.count)]
      let reply = try await run(.enqueue, limits.map(String.init) + Self.groups(batch))
      let numbers = try decoding { () throws(RedisError) in
        try reply.requireArray().map { value throws(RedisError) in try value.requireInteger() }
      }
      enqueued.added += Int(numbers.first ?? 0)
      enqueued.full.formUnion(numbers.dropFirst())
    }
  }

  /// Waiting and delayed jobs of these connections.
  package func depths(of connections: Set<Int64>) async throws(JobQueueError) -> [Int64: Int] {
    if connections.isEmpty { return [:] }
    let order = connections.sorted()
    let names = order.map(LaneID.connectionText)
    var depths: [Int64: Int] = [:]
    for key in [keys.depths, keys.late] {
      let reply = try await requesting { () throws(RedisError) in try await client.send(["HMGET", key] + names) }
      let values = try decoding { () throws(RedisError) in try reply.requireArray() }
      for (connection, value) in zip(order, values) { depths[connection, default: 0] += Int(value.integer ?? 0) }
    }
    return depths
  }

  private struct Group: Hashable {
    let lane: LaneID
    let delay: Int
  }

  private static func groups(_ jobs: ArraySlice<QueuedJob>) -> [String] {
    // In the order in which they come first: where a connection is full, the first ones get in.
    var order: [Group] = []
    var texts: [Group: String] = [:]
    for job in jobs {
      let group = Group(lane: job.lane, delay: max(0, job.delay?.wholeMilliseconds ?? 0))
      if texts[group] == nil { order.append(group) }
      texts[group, default: ""] += job.text
    }
    // Those with a delay first: whom they wake does not depend on what else is in the call then.
    let sorted = order.enumerated().sorted { ($1.element.delay, $0.offset) < ($0.element.delay, $1.offset) }
    return sorted.flatMap { _, group in [group.lane.description, String(group.delay), texts[group] ?? ""] }
  }

  /// How many jobs wait or are delayed; zero for a queue without a memory.
  package func waitingAndDelayed() async throws(JobQueueError) -> Int {
    try await requesting { () throws(RedisError) in
      let counts = try await client.pipeline([["ZCARD", keys.waiting], ["ZCARD", keys.delayed]])
      return Int(try counts[0].requireInteger() + counts[1].requireInteger())
    }
  }

  /// Takes out a job that nobody works on.
  ///
  /// - Returns: False if it is leased, or not in the queue.
  package func cancel(_ job: QueuedJob) async throws(JobQueueError) -> Bool {
    let reply = try await run(.cancel, [job.lane.description, job.text])
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// Blocks until there may be work of these classes, for `longest` or `Configuration.longestWait` at most. Without
  /// Redis it returns after a short pause. One caller at a time: the others would wait behind it.
  package func waitForWork(atMost longest: Duration, classes: Set<JobClass> = Set(JobClass.allCases)) async {
    let wait = min(longest, configuration.longestWait)
    if wait < .milliseconds(1) { return }
    let command = ["BLPOP"] + classes.sorted().map { keys.wake[$0.rawValue] } + [String(wait.inSeconds)]
    do throws(RedisError) {
      let grace = wakeClient.configuration.commandTimeout
      _ = try await wakeClient.send(command, deadline: .after(wait + grace))
    } catch {
      let pause = min(wait, configuration.outagePause * Double.random(in: 0.2...1))
      try? await Task.sleep(for: pause)  // best effort: a cancelled caller goes on at once
    }
  }
}
