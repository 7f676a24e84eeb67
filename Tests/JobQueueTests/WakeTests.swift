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

  /// It sleeps until the lease of the other expires, and a retry is due long before.
  @Test func whoWaitsIsWokenForWhatIsDueSooner() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...50, .a)
      try await bench.enqueue(51...52, .b)
      _ = try await bench.lease(limit: 1, classes: [.bulk])
      let lease = try await bench.lease()
      #expect(try await bench.queue.lease(worker: "idle", limit: 1).nextDue == .seconds(30))
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      try await bench.queue.settle(lease, delays(lease, .milliseconds(100)))
      #expect(try await tokens(bench) == 1)
      #expect(try await bench.queue.lease(worker: "idle", limit: 1).nextDue == .milliseconds(100))
    }
  }

  /// One who was woken knows; what comes later than he knows of, or than he looks by himself, wakes nobody.
  @Test(arguments: [Duration.milliseconds(100), .milliseconds(101), .seconds(4), .seconds(5)])
  func whatIsNotDueSoonerWakesNobody(delay: Duration) async throws {
    try await QueueBench.run { bench async throws in
      if delay < .seconds(5) { try await delayed(1, .a, .milliseconds(100), bench) }
      for number in Int64(2)...20 { try await delayed(number, .other, delay, bench) }
      #expect(try await tokens(bench) == (delay < .seconds(5) ? 1 : 0))
    }
  }

  @Test func whoTakesTheNextLaneHasTheDelayToldToAnother() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.enqueue(2...2, .b)
      let lease = try await bench.lease()
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      let next = try await bench.queue.settle(
        lease, delays(lease, .milliseconds(100)), thenLeaseAs: "w", limit: 1)
      #expect(next.lease != nil)
      #expect(try await tokens(bench) == 1)
    }
  }

  @Test func aShortParkAndAShortLeaseAreTold() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.park(connection: 1, for: .seconds(1))
      #expect(try await tokens(bench) == 1)
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      var configuration = LaneQueue.Configuration()
      configuration.leaseTTL = .milliseconds(500)
      let quick = LaneQueue(
        client: bench.client, wakeClient: bench.client, configuration: configuration, scripts: .timed())
      try await bench.enqueue(1...1, .other)
      _ = try await bench.client.send(["DEL", "{sluice:0}:wake:2"])
      _ = try await quick.lease(worker: "w", limit: 1)
      #expect(try await tokens(bench) == 1)
    }
  }

  private func delayed(_ number: Int64, _ lane: LaneID, _ delay: Duration, _ bench: QueueBench) async throws {
    let job = QueuedJob(number: number, lane: lane, jobClass: .bulk, kind: .sync, delay: delay)
    _ = try await bench.queue.enqueue([job])
  }

  private func delays(_ lease: Lease, _ delay: Duration) -> [Int64: Settlement] {
    lease.jobs.reduce(into: [:]) { $0[$1] = .again(after: delay) }
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
