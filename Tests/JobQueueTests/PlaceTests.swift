import JobQueue
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct PlaceTests {
  let job = QueuedJob(number: 3, lane: .a, jobClass: .bulk, kind: .sync)

  @Test func waitingJobKnowsHowManyAreAhead() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      try await bench.enqueue(9...9, .a, .revoke)
      try await bench.enqueue(4...4, .other, .revoke)
      #expect(try await bench.queue.place(of: job) == .waiting(.init(ahead: 3)))
    }
  }

  @Test func waitingJobKnowsWhatItWaitsFor() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      _ = try await bench.lease("busy", limit: 1)
      try await bench.queue.park(connection: 1, for: .seconds(9))
      try await bench.queue.apply(QueueRules(version: 1, lanes: [.a: .init(isPaused: true)]))
      try await bench.queue.park(lane: .a, for: .seconds(5))
      try await bench.advance(by: .seconds(2))
      let expected = JobPlace.Waiting(
        ahead: 1, holder: .init(worker: "busy", since: .seconds(2)), phase: .parked(triedAgainIn: .seconds(7)),
        laneParkedFor: .seconds(3), isLanePaused: true, lanesInWork: 1, mostLanes: 16)
      #expect(try await bench.queue.place(of: job) == .waiting(expected))
    }
  }

  @Test func leasedJobNamesItsWorker() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      _ = try await bench.lease("busy")
      #expect(try await bench.queue.place(of: job) == .leased(worker: "busy", since: .zero))
    }
  }

  @Test func delayedAndAbsentJobs() async throws {
    try await QueueBench.run { bench async throws in
      #expect(try await bench.queue.place(of: job) == .absent)
      _ = try await bench.queue.enqueue([
        QueuedJob(number: 3, lane: .a, jobClass: .bulk, kind: .sync, delay: .seconds(5))
      ])
      #expect(try await bench.queue.place(of: job) == .delayed(.seconds(5)))
    }
  }

  @Test func statsDescribeTheShard() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a, .bulk)
      try await bench.enqueue(4...5, .b, .interactive)
      try await bench.enqueue(6...7, .other, .revoke)
      let lease = try await bench.lease("busy", limit: 1)
      try await bench.advance(by: .seconds(10))
      let stats = try await bench.queue.stats()
      #expect(stats.waiting == [.revoke: 1, .interactive: 2, .bulk: 3])
      #expect(stats.connections[1] == .init(waiting: 5, lanesInWork: 0, phase: nil))
      #expect(stats.connections[2] == .init(waiting: 1, lanesInWork: 1, phase: nil))
      #expect(try await bench.queue.lanes().map(\.lane) == [.a, .b, .other] && stats.laneCount == 3)
      let summary = try #require(stats.leases.first)
      #expect(summary.lane == lease.lane && summary.worker == "busy" && summary.fence == lease.fence)
      #expect(summary.jobs == 1 && summary.expiresIn == .seconds(20))
      #expect(summary.since == .seconds(10))
      #expect(stats.totals.leaseCalls == 1 && stats.totals.enqueued == 7 && stats.totals.started == 1)
    }
  }

  @Test func kindsAreCountedWherverTheirJobsAre() async throws {
    try await QueueBench.run { bench async throws in
      let kinds: [JobKind] = [.sync, .subscribe, .subscribe, .evaluate]
      let jobs = kinds.enumerated().map { index, kind in
        QueuedJob(number: Int64(index) + 1, lane: .a, jobClass: .bulk, kind: kind)
      }
      _ = try await bench.queue.enqueue(jobs)
      let lease = try await bench.lease(limit: 2)
      try await bench.queue.settle(lease, [1: .again(after: .seconds(5))])
      _ = try await bench.lease(limit: 1)
      let kindsNow = try await bench.queue.stats().kinds
      #expect(kindsNow[.sync] == .init(waiting: 0, leased: 0, delayed: 1))
      #expect(kindsNow[.subscribe] == .init(waiting: 1, leased: 1, delayed: 0))
      #expect(kindsNow[.evaluate] == .init(waiting: 1, leased: 0, delayed: 0))
    }
  }

  @Test func ratesAreOfTheLastMinute() async throws {
    try await QueueBench.run { bench async throws in
      #expect(try await bench.isEmpty())
      for minute in 0..<3 {
        try await bench.enqueue(Int64(minute) * 600 + 1...Int64(minute) * 600 + 600, .a)
        for _ in 0..<6 {
          try await bench.advance(by: .seconds(10))
          let lease = try await bench.lease(limit: 50 * (minute + 1))
          try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
        }
      }
      // A minute ago a batch of 100 was about to begin; six of 150 followed.
      let rates = try await bench.queue.stats().rates
      #expect(rates == .init(enqueued: 10, started: 1000.0 / 60, settled: 1000.0 / 60))
    }
  }

  @Test func laneIDsReadBackAndSortByConnection() {
    let lane = LaneID(connection: 12, lane: 3)
    #expect(lane.description == "0000000012.0000000003")
    #expect(LaneID(lane.description) == lane)
    #expect(LaneID("12.3") == nil && LaneID("*") == nil && LaneID("00000000-1.0000000003") == nil)
    #expect(LaneID(connection: 2, lane: 9) < LaneID(connection: 12, lane: 0))
  }
}
