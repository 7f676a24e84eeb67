import JobQueue
import Logging
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct MemoryTests {
  @Test func flushedRedisSaysSo() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      let lease = try await bench.lease()
      _ = try await bench.client.send(["FLUSHALL"])
      #expect(try await bench.queue.epoch() == nil)
      let calls: [() async throws -> Void] = [
        { _ = try await bench.queue.lease(worker: "w", limit: 1) },
        { try await bench.enqueue(2...2, .a) },
        { try await bench.queue.settle(lease, [:]) },
        { _ = try await bench.queue.extend(lease) },
        { _ = try await bench.queue.stats() },
        { try await bench.queue.park(connection: 1, for: .seconds(1)) },
      ]
      for call in calls {
        let error = await #expect(throws: JobQueueError.self) { try await call() }
        #expect(error?.code == .epochLost)
      }
    }
  }

  /// The rules too: the ledger may have come back with fewer of them, and brings them before any job.
  @Test func newEpochForgetsAll() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...4, .a)
      try await bench.enqueue(5...5, .b)
      let lease = try await bench.lease(limit: 1)
      try await bench.queue.park(connection: 2, for: .seconds(60))
      try await bench.queue.apply(QueueRules(version: 1, lanes: [.other: .init(isPaused: true)]))
      #expect(try await bench.queue.establish(epoch: 8))
      let stats = try await bench.queue.stats()
      #expect(stats.epoch == 8 && stats.waitingTotal == 0 && stats.leases.isEmpty && stats.connections.isEmpty)
      #expect(try await bench.queue.rulesVersion() == nil && stats.rules.lanes.isEmpty)
      let error = await #expect(throws: JobQueueError.self) {
        try await bench.queue.settle(lease, [1: .done(.completed)])
      }
      #expect(error?.code == .fenced)
      try await bench.enqueue(1...1, .a)
      #expect(try await bench.lease().fence > lease.fence)
    }
  }

  @Test func sameEpochAgainChangesNothing() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      #expect(try await bench.queue.establish(epoch: 7))
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func lowerEpochIsRefused() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      #expect(try await bench.queue.establish(epoch: 6) == false)
      #expect(try await bench.queue.epoch() == 7)
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func waitingJobTakesLessThan150Bytes() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(100_000...100_999, .a)  // the script and the buffers have their memory now
      let before = try await usedMemory(bench.client)
      let jobs = (1...50_000).map {
        QueuedJob(number: $0, lane: LaneID(connection: $0 % 200 % 10 + 1, lane: $0 % 200), jobClass: .bulk, kind: .sync)
      }
      _ = try await bench.queue.enqueue(jobs)
      let bytes = Double(try await usedMemory(bench.client) - before) / Double(jobs.count)
      #expect(bytes < 140, "a waiting job takes \(bytes) bytes")
    }
  }

  /// Nothing that makes room in the end is refused where Redis has none: only new jobs are, which stay in the ledger.
  @Test func aRedisWithoutRoomIsDrained() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...100, .a)
      try await bench.enqueue(101...200, .other)
      var lease = try await bench.lease(limit: 20)
      _ = try await bench.client.send(["CONFIG", "SET", "maxmemory", "1"])
      let error = await #expect(throws: JobQueueError.self) { try await bench.enqueue(201...201, .b) }
      #expect(error?.code == .full)
      #expect(try await bench.queue.extend(lease))
      try await bench.queue.settle(lease, [lease.jobs[0]: .again(after: .seconds(1))])
      #expect(try await bench.queue.extend(lease) == false)
      try await bench.queue.park(connection: 2, for: .seconds(60))
      try await bench.queue.park(lane: .a, for: .seconds(60), releasing: try await bench.lease(limit: 20))
      #expect(try await bench.queue.wake(lane: .a))
      #expect(try await bench.queue.wake(connection: 2))
      try await bench.queue.apply(QueueRules(version: 1, mostLanes: 3))
      lease = try await bench.lease(limit: 20)
      while true {
        let done: [Int64: Settlement] = lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) }
        guard let next = try await bench.queue.settle(lease, done, thenLeaseAs: "w", limit: 20).lease else { break }
        lease = next
      }
      let stats = try await bench.queue.stats()
      #expect(stats.waitingTotal == 0 && stats.delayed == 1 && stats.totals.completed == 199)
    }
  }

  @Test func aLaneThatLooksLeasedByNobodyIsGivenFree() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.enqueue(2...2, .other)
      _ = try await bench.client.send(["ZADD", "{sluice:0}:leases", "1", "\(LaneID.a)"])
      try await bench.queue.park(lane: .a, for: .milliseconds(1))
      #expect(try await bench.queue.stats().leases.isEmpty)
      #expect(try await bench.lease().lane == .other)
      try await bench.advance(by: .seconds(1))
      #expect(try await bench.lease().lane == .a)
      #expect(try await bench.queue.stats().totals.orphans == 1)
    }
  }

  @Test func drainedQueueLeavesNoLaneBehind() async throws {
    try await QueueBench.run { bench async throws in
      for lane in 1...20 {
        try await bench.enqueue(Int64(lane)...Int64(lane), LaneID(connection: 1, lane: Int64(lane)))
      }
      while let lease = try await bench.queue.lease(worker: "w", limit: 5).lease {
        try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
      let left = try await bench.client.send(["KEYS", "*"]).requireArray().compactMap(\.text)
      let expected = ["epoch", "run", "sequence", "clock", "counters", "virtual", "samples", "wake:2"].map {
        "{sluice:0}:" + $0
      }
      #expect(Set(left).isSubset(of: expected))
    }
  }

  @Test func unknownStateIsRefusedNotMisread() async throws {
    try await QueueBench.run { bench async throws in
      _ = try await bench.client.send(["HSET", "{sluice:0}:phase", "0000000001", "nonsense"])
      let error = await #expect(throws: JobQueueError.self) { try await bench.queue.stats() }
      #expect(error?.code == .refused)
    }
  }

  private func usedMemory(_ client: RedisClient) async throws -> Int {
    let text = try await client.send(["INFO", "memory"]).requireText()
    let line = try #require(text.split(whereSeparator: \.isNewline).first { $0.hasPrefix("used_memory:") })
    return try #require(Int(line.dropFirst("used_memory:".count)))
  }
}

/// A worker's client is let in by a server only if the queue was established there.
@Suite(.timeLimit(.minutes(2)))
struct AdmissionTests {
  @Test func serverWithoutMemoryIsLetInAndSaysThatItHasNone() async throws {
    try await PrivateRedis.run { redis async throws in
      let error = await #expect(throws: JobQueueError.self) { try await worker(redis).lease(worker: "w", limit: 1) }
      #expect(error?.code == .epochLost)
      #expect(error?.message.contains("has no memory") == true)
    }
  }

  @Test func replicaThatLacksTheLastLeaseIsNotUsedBeforeItIsEstablished() async throws {
    try await WatchedRedis.run(.withoutSentinels) { watched async throws in
      let (primary, replica) = (watched.servers[0], watched.servers[1])
      let job = QueuedJob(number: 1, lane: .a, jobClass: .bulk, kind: .sync)
      let client = primary.client()
      let queue = LaneQueue(client: client, wakeClient: primary.client())
      // The first replica that comes makes another run of its primary.
      #expect(try await client.send(["WAIT", "1", "15000"]) == .integer(1))
      #expect(try await queue.establish(epoch: 7))
      _ = try await queue.enqueue([job], epoch: 7)
      #expect(try await client.send(["WAIT", "1", "15000"]) == .integer(1))
      try watched.cutOffReplica()
      let lost = try #require(try await worker(primary).lease(worker: "v", limit: 1).lease)
      primary.freeze()
      replica.thaw()
      try watched.ask(replica, ["REPLICAOF", "NO", "ONE"])

      let promoted = LaneQueue(client: replica.client(), wakeClient: replica.client())
      let again = try await promoted.lease(worker: "w", limit: 1).lease
      #expect(again?.fence == lost.fence && again?.jobs == lost.jobs, "or there would be no danger")
      let other = worker(replica)
      let error = await #expect(throws: JobQueueError.self) { try await other.lease(worker: "w", limit: 1) }
      #expect(error?.code == .epochLost)
      #expect(try await promoted.establish(epoch: 8))
      _ = try await promoted.enqueue([job], epoch: 8)
      let lease = try #require(try await other.lease(worker: "w", limit: 1).lease)
      #expect(lease.fence > lost.fence && lease.jobs == [1])
    }
  }

  /// The second failover brings back the first server, which has not restarted since.
  @Test func serverThatWasPrimaryBeforeIsAnotherRun() async throws {
    try await WatchedRedis.run(.withoutSentinels) { watched async throws in
      let (first, second) = (watched.servers[0], watched.servers[1])
      let queue = LaneQueue(client: first.client(), wakeClient: first.client())
      let before = try await queue.serverRunID()
      #expect(try await queue.serverRunID() == before)
      #expect(try watched.ask(first, ["WAIT", "1", "20000"]).hasPrefix("1"))
      try watched.ask(second, ["REPLICAOF", "NO", "ONE"])
      try watched.ask(first, ["REPLICAOF", "127.0.0.1", String(second.port)])
      try watched.ask(second, ["SET", "a", "1"])
      while !(try watched.ask(second, ["WAIT", "1", "1000"]).hasPrefix("1")) {}
      try watched.ask(first, ["REPLICAOF", "NO", "ONE"])
      #expect(try await queue.serverRunID() != before)
    }
  }

  private func worker(_ redis: PrivateRedis) -> LaneQueue {
    let client = RedisClient(
      configuration: redis.configuration, logger: Logger(label: "test"), admission: LaneQueue.admission(.init()))
    return LaneQueue(client: client, wakeClient: redis.client())
  }
}
