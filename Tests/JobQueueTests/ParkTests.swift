import JobQueue
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ParkTests {
  @Test func parkedConnectionGivesNothingAndTheOtherGoesOn() async throws {
    try await QueueBench.run { bench async throws in
      for lane in [LaneID.a, .b] { try await bench.enqueue(lane.lane * 10...lane.lane * 10 + 1, lane, .revoke) }
      try await bench.enqueue(40...40, .other)
      try await bench.queue.park(connection: 1, for: .seconds(60))
      #expect(try await bench.lease().lane == .other)
      #expect(try await bench.isEmpty())
      #expect(try await bench.queue.stats().parked == 4)
    }
  }

  @Test func parkingGivesTheBatchBack() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      let lease = try await bench.lease(limit: 2)
      try await bench.queue.park(connection: 1, for: .seconds(60), releasing: lease)
      let stats = try await bench.queue.stats()
      #expect(stats.leased == 0 && stats.parked == 3)
    }
  }

  @Test func staleLeaseParksNothing() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      let lease = try await bench.lease()
      try await bench.queue.release(lease)
      let error = await #expect(throws: JobQueueError.self) {
        try await bench.queue.park(connection: 1, for: .seconds(60), releasing: lease)
      }
      #expect(error?.code == .fenced)
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func jobsEnqueuedWhileParkedWait() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.enqueue(1...1, .a)
      #expect(try await bench.isEmpty())
    }
  }

  @Test func oneBatchTriesAWokenConnectionBeforeTheRest() async throws {
    try await QueueBench.run { bench async throws in
      for lane in [LaneID.a, .b, .c] { try await bench.enqueue(lane.lane * 10...lane.lane * 10 + 1, lane) }
      try await bench.queue.park(connection: 1, for: .seconds(60))
      #expect(try await bench.queue.wake(connection: 1))
      let probe = try await bench.lease()
      #expect(probe.isHalfOpen)
      try await bench.enqueue(99...99, .c)
      #expect(try await bench.isEmpty())
      try await bench.queue.settle(probe, [probe.jobs[0]: .done(.completed)])
      let lanes = [try await bench.lease(), try await bench.lease(), try await bench.lease()]
      #expect(Set(lanes.map(\.lane)) == [.a, .b, .c])
      #expect(lanes.allSatisfy { !$0.isHalfOpen })
    }
  }

  @Test func probeThatDoesNotGoWellLeavesTheConnectionHalfOpen() async throws {
    try await QueueBench.run { bench async throws in
      for lane in [LaneID.a, .b] { try await bench.enqueue(lane.lane * 10...lane.lane * 10 + 1, lane) }
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.queue.wake(connection: 1)
      try await bench.queue.release(try await bench.lease())
      #expect(try await bench.lease().isHalfOpen)
      #expect(try await bench.isEmpty())
    }
  }

  @Test(arguments: [
    (Settlement.done(.completed), true), (.done(.discarded), true), (.done(.cancelled), true),
    (.again(after: .seconds(5)), true), (.back, false),
  ])
  func probeOpensTheConnectionIfTheInstanceAnswered(settlement: Settlement, opens: Bool) async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.queue.wake(connection: 1)
      try await bench.queue.settle(try await bench.lease(), [1: settlement])
      #expect(try await bench.queue.stats().phases.isEmpty == opens)
    }
  }

  @Test func crashedProbeIsFollowedByAnother() async throws {
    try await QueueBench.run { bench async throws in
      for lane in [LaneID.a, .b] { try await bench.enqueue(lane.lane * 10...lane.lane * 10 + 1, lane) }
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.queue.wake(connection: 1)
      let crashed = try await bench.lease()
      try await bench.advance(by: crashed.ttl)
      #expect(try await bench.lease().isHalfOpen)
      #expect(try await bench.isEmpty())
    }
  }

  @Test func probeThatParksAgainWaits() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.queue.wake(connection: 1)
      try await bench.queue.park(connection: 1, for: .seconds(30), releasing: try await bench.lease())
      #expect(try await bench.queue.lease(worker: "w", limit: 1).nextDue == .seconds(30))
    }
  }

  @Test func parkingEndsByItselfHalfOpen() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.queue.park(connection: 1, for: .seconds(60))
      try await bench.advance(by: .seconds(59))
      #expect(try await bench.isEmpty())
      try await bench.advance(by: .seconds(1))
      #expect(try await bench.lease().isHalfOpen)
    }
  }

  @Test func wakingWhatIsNotParkedDoesNothing() async throws {
    try await QueueBench.run { bench async throws in
      #expect(try await bench.queue.wake(connection: 1) == false)
      try await bench.queue.park(connection: 1, for: .seconds(60))
      #expect(try await bench.queue.wake(connection: 1))
      #expect(try await bench.queue.wake(connection: 1) == false)
    }
  }

  @Test func pausedLaneGivesNothingUntilResumed() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.enqueue(2...2, .b)
      try await bench.queue.apply(QueueRules(version: 1, lanes: [.a: .init(isPaused: true)]))
      #expect(try await bench.lease().lane == .b)
      #expect(try await bench.isEmpty())
      try await bench.queue.apply(QueueRules(version: 2))
      #expect(try await bench.lease().lane == .a)
    }
  }

  @Test func pausedQueueGivesNothingUntilResumed() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.queue.apply(QueueRules(version: 1, isPaused: true))
      #expect(try await bench.isEmpty())
      #expect(try await bench.queue.stats().isPaused)
      try await bench.queue.apply(QueueRules(version: 2))
      #expect(try await bench.lease().jobs == [1])
    }
  }
}
