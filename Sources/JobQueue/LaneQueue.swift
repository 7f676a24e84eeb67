import Platform
import Redis

/// The job queue of one shard: which job numbers are in motion, and who holds which lane until when.
///
/// All truth about jobs is in the ledger; what is here can be lost and is filled again from there. Every transition is
/// one Lua script and uses the clock of Redis, so clients agree however their clocks differ. All calls may be repeated.
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
    package var mostWaiting = 1_000_000

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
  /// Lanes and leases that `stats` lists.
  package static let longestListing = 1000

  package let configuration: Configuration
  let client: RedisClient
  let wakeClient: RedisClient
  let keys: ShardKeys

  /// - Parameter wakeClient: A client of its own for `waitForWork`, because a blocked connection answers nothing else.
  package init(client: RedisClient, wakeClient: RedisClient, configuration: Configuration = Configuration()) {
    self.client = client
    self.wakeClient = wakeClient
    self.configuration = configuration
    keys = ShardKeys(prefix: configuration.prefix, shard: configuration.shard)
  }

  func call(_ script: RedisScript, _ arguments: [String]) -> RedisScriptCall {
    RedisScriptCall(script, keys: keys.all, arguments: arguments)
  }

  func run(_ script: RedisScript, _ arguments: [String]) async throws(JobQueueError) -> RedisValue {
    try await requesting { () throws(RedisError) in
      try await client.eval(script, keys: keys.all, arguments: arguments)
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

  /// The run of the server that holds the shard: another after a restart or a failover.
  package func serverRunID() async throws(JobQueueError) -> String? {
    let reply = try await requesting { () throws(RedisError) in try await client.send(["INFO", "server"]) }
    let line = reply.text?.split(whereSeparator: \.isNewline).first { $0.hasPrefix("run_id:") }
    return line.map { String($0.dropFirst("run_id:".count)) }
  }

  /// Gives the shard an epoch and forgets all that an older one left, except pauses. Enqueue all unfinished jobs after
  /// it. Repeating it with the same epoch changes nothing.
  ///
  /// - Returns: False if the shard has a higher epoch already.
  package func establish(epoch: Int64) async throws(JobQueueError) -> Bool {
    precondition(epoch > 0, "an epoch is positive")
    let reply = try await run(QueueScript.establish, [String(epoch)])
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// Puts jobs into their lanes. A job that is already waiting, delayed or leased stays as it is (`known`).
  ///
  /// - Throws: `.epochLost` if Redis has another epoch's memory than the caller's ledger, or none.
  package func enqueue(
    _ jobs: [QueuedJob], epoch: Int64
  ) async throws(JobQueueError) -> (added: Int, known: Int) {
    var added = 0
    for start in stride(from: 0, to: jobs.count, by: Self.longestBatch) {
      let batch = jobs[start..<min(start + Self.longestBatch, jobs.count)]
      let reply = try await run(QueueScript.enqueue, [String(epoch)] + Self.groups(batch))
      added += try decoding { () throws(RedisError) in Int(try reply.requireInteger()) }
    }
    return (added, jobs.count - added)
  }

  private struct Group: Hashable {
    let lane: LaneID
    let delay: Int
  }

  private static func groups(_ jobs: ArraySlice<QueuedJob>) -> [String] {
    let grouped = Dictionary(grouping: jobs) { Group(lane: $0.lane, delay: max(0, $0.delay?.wholeMilliseconds ?? 0)) }
    var arguments: [String] = []
    for (group, members) in grouped {
      arguments += [group.lane.description, String(group.delay), String(members.count)]
      arguments += members.map(\.text)
    }
    return arguments
  }

  /// Takes out a job that nobody works on, as when it is cancelled.
  ///
  /// - Returns: False if it is leased, or not in the queue.
  package func remove(_ job: QueuedJob) async throws(JobQueueError) -> Bool {
    let reply = try await run(QueueScript.remove, [job.lane.description, job.text])
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
