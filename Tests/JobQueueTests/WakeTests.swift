import JobQueue
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct WakeTests {
  @Test func enqueueWakesAWaitingWorker() async throws {
    try await QueueBench.run { bench async throws in
      let waiting = Task { await bench.queue.waitForWork(atMost: .seconds(60)) }
      try await waitUntilBlocked(1, bench)
      try await bench.enqueue(1...1, .a)
      await waiting.value
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func tokenOfAnotherClassWakesNobody() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a, .bulk)
      let waiting = Task { await bench.queue.waitForWork(atMost: .seconds(60), classes: [.revoke]) }
      try await waitUntilBlocked(1, bench)
      try await bench.enqueue(2...2, .b, .revoke)
      await waiting.value
      #expect(try await tokens(bench) == 1)
    }
  }

  @Test func manyReadyLanesLeaveFewTokens() async throws {
    try await QueueBench.run { bench async throws in
      for lane in 1...50 {
        try await bench.enqueue(Int64(lane)...Int64(lane), LaneID(connection: 1, lane: Int64(lane)))
      }
      #expect(try await tokens(bench) == 4)
    }
  }

  @Test func leaseThatLeavesWorkBehindWakesOneMore() async throws {
    try await QueueBench.run { bench async throws in
      for lane in 1...3 { try await bench.enqueue(Int64(lane)...Int64(lane), LaneID(connection: 1, lane: Int64(lane))) }
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      _ = try await bench.lease()
      #expect(try await tokens(bench) == 1)
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      _ = try await bench.lease()
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      _ = try await bench.lease()
      #expect(try await tokens(bench) == 0)
    }
  }

  @Test func settlingAndLeasingWakesNobodyForOnesOwnLane() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...10, .a)
      let lease = try await bench.lease(limit: 1)
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      _ = try await bench.queue.settle(lease, [:], thenLeaseAs: "w", limit: 1)
      #expect(try await tokens(bench) == 0)
    }
  }

  @Test func waitEndsWithItsTime() async throws {
    try await QueueBench.run { bench async throws in
      let start = ContinuousClock.now
      await bench.queue.waitForWork(atMost: .milliseconds(50))
      #expect(ContinuousClock.now - start >= .milliseconds(50))
    }
  }

  @Test func waitReturnsWithoutRedis() async throws {
    try await QueueBench.run { bench async throws in
      bench.redis.stop()
      await bench.queue.waitForWork(atMost: .seconds(60))
    }
  }

  private func tokens(_ bench: QueueBench) async throws -> Int64? {
    try await bench.client.send(["LLEN", "{sluice:0}:wake:2"]).integer
  }

  private func waitUntilBlocked(_ count: Int, _ bench: QueueBench) async throws {
    while try await !bench.client.send(["INFO", "clients"]).requireText().contains("blocked_clients:\(count)") {
      await Task.yield()
    }
  }
}
