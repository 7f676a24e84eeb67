import JobQueue
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct PlaceTests {
  let job = QueuedJob(number: 3, lane: .a, jobClass: .bulk)

  @Test func waitingJobKnowsHowManyAreAhead() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      try await bench.enqueue(9...9, .a, .revoke)
      try await bench.enqueue(4...4, .other, .revoke)
      let expected = JobPlace.waiting(ahead: 3, laneLeasedTo: nil, phase: nil, isPaused: false)
      #expect(try await bench.queue.place(of: job) == expected)
    }
  }

  @Test func waitingJobKnowsWhatItWaitsFor() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      _ = try await bench.lease("busy", limit: 1)
      try await bench.queue.park(connection: 1, for: .seconds(9))
      try await bench.queue.pause(lane: .a)
      let phase = ConnectionPhase.parked(triedAgainIn: .seconds(9))
      let expected = JobPlace.waiting(ahead: 1, laneLeasedTo: "busy", phase: phase, isPaused: true)
      #expect(try await bench.queue.place(of: job) == expected)
    }
  }

  @Test func leasedJobNamesItsWorker() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...3, .a)
      _ = try await bench.lease("busy")
      #expect(try await bench.queue.place(of: job) == .leased(worker: "busy"))
    }
  }

  @Test func delayedAndAbsentJobs() async throws {
    try await QueueBench.run { bench async throws in
      #expect(try await bench.queue.place(of: job) == .absent)
      _ = try await bench.queue.enqueue([QueuedJob(number: 3, lane: .a, jobClass: .bulk, delay: .seconds(5))])
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
      #expect(stats.waitingByConnection == [1: 5, 2: 1])
      #expect(stats.lanes.map(\.lane) == [.a, .b, .other] && stats.laneCount == 3)
      let summary = try #require(stats.leases.first)
      #expect(summary.lane == lease.lane && summary.worker == "busy" && summary.fence == lease.fence)
      #expect(summary.jobs == 1 && summary.expiresIn == .seconds(20))
      #expect(stats.totals.leaseCalls == 1)
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
