import JobQueue
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SettleTests {
  @Test func eachJobGoesWhereItsSettlementSays() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...5, .a)
      let lease = try await bench.lease()
      try await bench.queue.settle(
        lease, [1: .done(.completed), 2: .done(.discarded), 3: .done(.cancelled), 4: .again(after: .seconds(10))])
      let stats = try await bench.queue.stats()
      #expect(stats.waitingTotal == 1 && stats.delayed == 1 && stats.leased == 0)
      let totals = stats.totals
      #expect(
        [totals.completed, totals.discarded, totals.cancelled, totals.retried, totals.returned] == [1, 1, 1, 1, 1])
      #expect(try await bench.lease().jobs == [5])
    }
  }

  @Test func delayedJobWaitsUntilItsTime() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.queue.settle(try await bench.lease(), [1: .again(after: .seconds(10))])
      #expect(try await bench.queue.lease(worker: "w", limit: 1).nextDue == .seconds(10))
      try await bench.advance(by: .milliseconds(9999))
      #expect(try await bench.isEmpty())
      try await bench.advance(by: .milliseconds(1))
      #expect(try await bench.lease().jobs == [1])
    }
  }

  /// As when an operator retries a job whose worker has just discarded it, before the worker has settled here.
  @Test func aJobOfferedAgainWhileItWasLeasedWaitsOnceMore() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...2, .a)
      let lease = try await bench.lease()
      try await bench.enqueue(1...1, .a)
      try await bench.queue.settle(lease, [1: .done(.discarded), 2: .done(.completed)])
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func jobsOfAnotherEpochAreNotTakenIn() async throws {
    try await QueueBench.run { bench async throws in
      let known = try await bench.queue.epoch() ?? 0
      let job = QueuedJob(number: 1, lane: .a, jobClass: .bulk, kind: .sync)
      await #expect(throws: JobQueueError.self) { _ = try await bench.queue.enqueue([job], epoch: known + 1) }
      #expect(try await bench.isEmpty())
    }
  }

  @Test func jobKeepsItsClassThroughARetry() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a, .revoke)
      try await bench.queue.settle(try await bench.lease(), [1: .again(after: .seconds(1))])
      try await bench.enqueue(2...2, .a, .interactive)
      try await bench.advance(by: .seconds(1))
      #expect(try await bench.lease().jobs == [1, 2])
    }
  }

  @Test func releasedJobsWaitAgainInTheirPlaces() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      try await bench.queue.release(try await bench.lease(limit: 2))
      #expect(try await bench.lease().jobs == [1, 2, 3])
    }
  }

  @Test func settlingTakesTheNextLane() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      try await bench.enqueue(2...2, .b)
      let first = try await bench.lease()
      let reply = try await bench.queue.settle(first, [1: .done(.completed)], thenLeaseAs: "w", limit: 5)
      #expect(reply.lease?.jobs == [2])
    }
  }

  /// Somebody else's lease brings its script back, and not that of the settlement.
  @Test func settlingComesFirstOnAServerThatForgotTheScripts() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...2, .a)
      var lease = try await bench.lease(limit: 1)
      for number in Int64(1)...2 {
        _ = try await bench.client.send(["SCRIPT", "FLUSH"])
        #expect(try await bench.isEmpty(), "the only lane is leased")
        let reply = try await bench.queue.settle(lease, [number: .done(.completed)], thenLeaseAs: "w", limit: 1)
        guard number == 1 else { return #expect(reply.lease == nil) }
        lease = try #require(reply.lease, "the lane was leased before it was settled")
      }
    }
  }

  @Test func fencedSettlementLeasesNothing() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .a)
      let old = try await bench.lease()
      try await bench.advance(by: old.ttl)
      try await bench.queue.release(try await bench.lease("other"))
      let error = await #expect(throws: JobQueueError.self) {
        try await bench.queue.settle(old, [1: .done(.completed)], thenLeaseAs: "w", limit: 5)
      }
      #expect(error?.code == .fenced)
      #expect(try await bench.queue.stats().leases.isEmpty)
      #expect(try await bench.lease().jobs == [1])
    }
  }

  @Test func knownJobsAreNotEnqueuedTwice() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      let lease = try await bench.lease(limit: 2)
      try await bench.queue.settle(lease, [1: .again(after: .seconds(5))])
      _ = try await bench.lease(limit: 1)  // 2 is leased, 1 delayed, 3 waits
      let jobs = (1...4).map { QueuedJob(number: $0, lane: .a, jobClass: .bulk, kind: .sync) }
      let (added, known) = try await bench.queue.enqueue(jobs)
      #expect(added == 1 && known == 3)
      let later = (1...4).map { QueuedJob(number: $0, lane: .a, jobClass: .bulk, kind: .sync, delay: .seconds(9)) }
      #expect(try await bench.queue.enqueue(later).added == 0)
    }
  }

  @Test func enqueueTakesMoreThanABatch() async throws {
    try await QueueBench.run { bench async throws in
      let jobs = (1...2500).map { QueuedJob(number: $0, lane: $0 % 2 == 0 ? .a : .b, jobClass: .bulk, kind: .sync) }
      #expect(try await bench.queue.enqueue(jobs).added == 2500)
      #expect(try await bench.lease(limit: 5000).jobs.count == 1000)
    }
  }

  @Test func removedJobIsGone() async throws {
    try await QueueBench.run { bench async throws in
      let (one, two) = (
        QueuedJob(number: 1, lane: .a, jobClass: .bulk, kind: .sync),
        QueuedJob(number: 2, lane: .a, jobClass: .bulk, kind: .sync)
      )
      let later = QueuedJob(number: 3, lane: .a, jobClass: .bulk, kind: .sync, delay: .seconds(1))
      _ = try await bench.queue.enqueue([one, two, later])
      #expect(try await bench.queue.cancel(one))
      #expect(try await bench.queue.cancel(later))
      #expect(try await bench.queue.cancel(later) == false)
      #expect(try await bench.lease().jobs == [2])
      #expect(try await bench.queue.cancel(two) == false)
    }
  }
}
