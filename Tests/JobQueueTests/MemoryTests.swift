import JobQueue
import Platform
import Redis
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

  @Test func newEpochForgetsAllButTheRules() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...4, .a)
      try await bench.enqueue(5...5, .b)
      let lease = try await bench.lease(limit: 1)
      try await bench.queue.park(connection: 2, for: .seconds(60))
      try await bench.queue.apply(QueueRules(version: 1, lanes: [.other: .init(isPaused: true)]))
      #expect(try await bench.queue.establish(epoch: 8))
      let stats = try await bench.queue.stats()
      #expect(stats.epoch == 8 && stats.waitingTotal == 0 && stats.leases.isEmpty && stats.connections.isEmpty)
      #expect(stats.rules.lanes[.other]?.isPaused == true && stats.rules.version == 1)
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

  @Test func drainedQueueLeavesNoLaneBehind() async throws {
    try await QueueBench.run { bench async throws in
      for lane in 1...20 {
        try await bench.enqueue(Int64(lane)...Int64(lane), LaneID(connection: 1, lane: Int64(lane)))
      }
      while let lease = try await bench.queue.lease(worker: "w", limit: 5).lease {
        try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
      let left = try await bench.client.send(["KEYS", "*"]).requireArray().compactMap(\.text)
      let expected = ["epoch", "sequence", "clock", "counters", "virtual", "samples", "wake:2"].map {
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
