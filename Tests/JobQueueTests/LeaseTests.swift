import JobQueue
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct LeaseTests {
  @Test func laneIsLeasedWholeToOneWorker() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...5, .a)
      let lease = try await bench.lease(limit: 2)
      #expect(lease.lane == .a)
      #expect(lease.jobs == [1, 2])
      #expect(try await bench.isEmpty())
    }
  }

  @Test func leaseSaysWhenThereMayBeAnother() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a, .revoke)
      try await bench.enqueue(2...2, .b, .bulk)
      #expect(try await bench.lease(classes: [.bulk, .revoke]).nextDue == .zero)
      // All that is under way is leased: until the first of the leases ends.
      #expect(try await bench.lease().nextDue == bench.queue.configuration.leaseTTL)
      try await bench.enqueue(3...3, .c, .bulk)
      try await bench.enqueue(4...4, LaneID(connection: 2, lane: 4), .interactive)
      let interactive = try await bench.lease(classes: [.interactive])
      #expect(interactive.nextDue == bench.queue.configuration.leaseTTL, "what waits is for others")
    }
  }

  @Test func higherClassOvertakesInTheSameLane() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a, .bulk)
      try await bench.enqueue(4...4, .a, .interactive)
      try await bench.enqueue(5...6, .a, .revoke)
      #expect(try await bench.lease().jobs == [5, 6, 4, 1, 2, 3])
    }
  }

  @Test func batchThatIsCutShortHasAJobOfEachClass() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a, .bulk)
      try await bench.enqueue(4...6, .a, .interactive)
      try await bench.enqueue(7...9, .a, .revoke)
      let lease = try await bench.lease()
      #expect(lease.jobs(atMost: 9) == lease.jobs)
      #expect(lease.jobs(atMost: 5) == [7, 8, 9, 4, 1])
      #expect(lease.jobs(atMost: 1) == [7, 4, 1])
    }
  }

  @Test func jobThatWaitsInTwoClassesIsLeasedOnce() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...2, .a, .bulk)
      try await bench.enqueue(2...2, .a, .interactive)
      let lease = try await bench.lease()
      #expect(lease.jobs == [2, 1])
      try await bench.queue.settle(lease, [1: .done(.completed), 2: .again(after: .seconds(1))])
      #expect(try await bench.queue.stats().waitingTotal == 0)
      #expect(try await bench.queue.faults().isEmpty)
    }
  }

  @Test func laneWithARevokeComesFirst() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...9, .a, .bulk)
      try await bench.enqueue(10...10, .b, .revoke)
      #expect(try await bench.lease().lane == .b)
    }
  }

  @Test func revokeInABulkLaneBringsTheLaneForward() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...9, .a, .interactive)
      try await bench.enqueue(10...19, .b, .bulk)
      try await bench.enqueue(20...20, .b, .revoke)
      #expect(try await bench.lease().lane == .b)
    }
  }

  @Test func everyEighthLeaseServesTheLowestClassFirst() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...100, .a, .bulk)
      var served: [LaneID] = []
      for round in 0..<16 {
        try await bench.enqueue(1000 + Int64(round) * 10...1005 + Int64(round) * 10, .other, .revoke)
        let lease = try await bench.lease(limit: 6)
        served.append(lease.lane)
        try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
      #expect(served.filter { $0 == .a }.count == 2)
    }
  }

  @Test func aSixteenthOfABatchIsEachLowerClassesShare() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...100, .a, .bulk)
      try await bench.enqueue(101...200, .a, .revoke)
      try await bench.enqueue(201...300, .a, .interactive)
      #expect(try await bench.lease(limit: 32).jobs == Array(101...128) + [201, 202, 1, 2])
    }
  }

  @Test(arguments: 1...4) func theSmallestBatchHasAJobOfEachClass(limit: Int) async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...100, .a, .bulk)
      try await bench.enqueue(101...200, .a, .revoke)
      try await bench.enqueue(201...300, .a, .interactive)
      let revokes = Array(Int64(101)...200).prefix(max(1, limit - 2))
      #expect(try await bench.lease(limit: limit).jobs == revokes + [201, 1])
    }
  }

  /// A tenant with a revoke now and then must not bring its bulk work in front of others with it.
  @Test(arguments: [JobClass.revoke, .interactive, .bulk])
  func lowerClassesFillABatchOnlyIfNobodyWaitsForIt(other: JobClass) async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...100, .a, .bulk)
      try await bench.enqueue(101...101, .a, .revoke)
      try await bench.enqueue(201...201, .other, other)
      #expect(try await bench.lease(limit: 32).jobs == [101, 1, 2])
      _ = try await bench.lease()
      try await bench.enqueue(301...400, .c, .bulk)
      try await bench.enqueue(401...401, .c, .revoke)
      #expect(try await bench.lease(limit: 32).jobs == [401] + Array(301...331))
    }
  }

  @Test func workerGetsOnlyItsClasses() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a, .bulk)
      try await bench.enqueue(4...5, .a, .revoke)
      #expect(try await bench.lease(classes: [.revoke]).jobs == [4, 5])
      try await bench.enqueue(6...6, .b, .bulk)
      #expect(try await bench.queue.lease(worker: "w", limit: 9, classes: [.revoke]).lease == nil)
    }
  }

  @Test func busyLaneDoesNotKeepAnotherWaiting() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1000, .a)
      try await bench.enqueue(1001...1003, .other)
      var turns: [LaneID] = []
      for _ in 0..<4 {
        let lease = try await bench.lease(limit: 10)
        turns.append(lease.lane)
        try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
      #expect(turns.prefix(2).contains(.other))
    }
  }

  /// A lane that is drained and filled again each time must not be the newest with the oldest rights.
  @Test func laneThatKeepsComingBackDoesNotStarveAnother() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.enqueue(2...2, .other)
      let first = try await bench.lease(limit: 1)
      try await bench.queue.settle(first, [first.jobs[0]: .done(.completed)])
      try await bench.enqueue(3...3, first.lane)
      #expect(try await bench.lease(limit: 1).lane != first.lane)
    }
  }

  @Test func fencesRise() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      var last = Fence(epoch: 0, sequence: 0)
      for _ in 0..<5 {
        let lease = try await bench.lease()
        #expect(lease.fence > last)
        last = lease.fence
        try await bench.queue.release(lease)
      }
    }
  }

  @Test func expiredLeaseGoesToTheNextWorkerAndTheOldOneIsFencedOff() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...2, .a)
      let old = try await bench.lease("slow")
      try await bench.advance(by: old.ttl)
      let new = try await bench.lease("fast")
      #expect(new.jobs == [1, 2])
      let error = await #expect(throws: JobQueueError.self) {
        try await bench.queue.settle(old, [1: .done(.completed)])
      }
      #expect(error?.code == .fenced)
      #expect(try await bench.queue.extend(old) == false)
      #expect(try await bench.queue.extend(new))
      let totals = try await bench.queue.stats().totals
      #expect(totals.reaped == 2 && totals.stale == 2 && totals.completed == 0)
    }
  }

  @Test func extendedLeaseOutlivesItsFirstEnd() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      let lease = try await bench.lease()
      try await bench.advance(by: lease.ttl / 2)
      #expect(try await bench.queue.extend(lease))
      try await bench.advance(by: lease.ttl / 2 + .seconds(1))
      #expect(try await bench.isEmpty())
    }
  }
}
