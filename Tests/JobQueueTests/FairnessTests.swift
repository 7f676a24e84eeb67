import JobQueue
import Platform
import Testing

/// Whose turn it is, counted in leases.
@Suite(.timeLimit(.minutes(2)))
struct FairnessTests {
  @Test(arguments: [1, 4]) func aTenantWithAMillionJobsDoesNotDelayAnother(workers: Int) async throws {
    try await QueueBench.run { bench async throws in
      // Of its thousand lanes each has a thousand jobs; the order does not depend on how many are in a lane.
      for lane in Int64(1)...1000 {
        _ = try await bench.queue.enqueue(
          (1...1000).map {
            QueuedJob(number: lane * 1000 + $0, lane: LaneID(connection: 1, lane: lane), jobClass: .bulk, kind: .sync)
          })
      }
      var held: [Lease] = []
      for _ in 0..<50 {
        if held.count == workers { try await complete(held.removeFirst(), bench) }
        held.append(try await bench.lease(limit: 200))
      }
      try await bench.enqueue(5_000_000...5_000_000, LaneID(connection: 2, lane: 2000))
      var leases = 0
      while held.last?.lane.connection != 2 {
        try await complete(held.removeFirst(), bench)
        held.append(try await bench.lease(limit: 200))
        leases += 1
        try #require(leases < 10)
      }
      #expect(leases <= 2)
    }
  }

  @Test func aConnectionWithManyLanesGetsNoMoreThanOneWithFew() async throws {
    try await QueueBench.run { bench async throws in
      for lane in Int64(1)...40 { try await fill(LaneID(connection: 1, lane: lane), bench) }
      try await fill(LaneID(connection: 2, lane: 41), bench)
      let served = try await serve(40, bench)
      #expect(served[1] == 20 && served[2] == 20)
    }
  }

  @Test func connectionsAreServedByWeight() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.apply(QueueRules(version: 1, connections: [1: .init(weight: 3)]))
      for connection in Int64(1)...2 { try await fill(LaneID(connection: connection, lane: connection), bench) }
      let served = try await serve(40, bench)
      #expect(served[1] == 30 && served[2] == 10)
    }
  }

  @Test func lanesOfAConnectionAreServedByWeight() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.apply(QueueRules(version: 1, lanes: [.b: .init(weight: 4)]))
      for lane in [LaneID.a, .b] { try await fill(lane, bench) }
      var served: [LaneID: Int] = [:]
      for _ in 0..<50 {
        let lease = try await bench.lease(limit: 10)
        served[lease.lane, default: 0] += 1
        try await complete(lease, bench)
      }
      #expect(served[.a] == 10 && served[.b] == 40)
    }
  }

  /// Somebody who was idle is next, but gets no turns for the time in which nobody asked.
  @Test func idleTimeEarnsNothing() async throws {
    try await QueueBench.run { bench async throws in
      try await fill(.a, bench)
      _ = try await serve(30, bench)
      try await fill(.other, bench)
      let served = try await serve(20, bench)
      #expect((9...11).contains(served[1] ?? 0) && (9...11).contains(served[2] ?? 0))
    }
  }

  /// It comes back each time with a new batch: what it had counts.
  @Test func drainingAndComingBackEarnsNothing() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.apply(QueueRules(version: 1, connections: [2: .init(weight: 4)]))
      try await fill(.other, bench)
      var (next, served) = (Int64(1), [Int64: Int]())
      for _ in 0..<50 {
        try await bench.enqueue(next...next + 9, .a)
        next += 10
        let lease = try await bench.lease(limit: 10)
        served[lease.lane.connection, default: 0] += 1
        try await complete(lease, bench)
      }
      #expect((9...11).contains(served[1] ?? 0))
    }
  }

  /// The other lane of its connection has a job each time, and had next to nothing until now.
  @Test func aBacklogIsNotPassedOverByALaneThatKeepsComingBack() async throws {
    try await QueueBench.run { bench async throws in
      try await fill(.a, bench)
      try await complete(try await bench.lease(limit: 50), bench)
      var leases = 0
      for number in Int64(50_000)..<50_200 {
        try await bench.enqueue(number...number, .b)
        let lease = try await bench.lease(limit: 50)
        if lease.lane == .a { break }
        leases += 1
        try await complete(lease, bench)
      }
      #expect((45...55).contains(leases))
    }
  }

  @Test func aRevokeNowAndThenEarnsALaneNoBulkTurns() async throws {
    try await QueueBench.run { bench async throws in
      for lane in [LaneID.a, .b] { try await fill(lane, bench) }
      var served: [LaneID: Int] = [:]
      for round in Int64(0)..<40 {
        if round % 2 == 0 { try await bench.enqueue(90_000 + round...90_000 + round, .a, .revoke) }
        let lease = try await bench.lease(limit: 16)
        served[lease.lane, default: 0] += lease.jobs.count { $0 < 90_000 }
        try await complete(lease, bench)
      }
      // Twenty batches of bulk jobs in turn, and one job with each revoke.
      #expect(served == [.a: 160 + 20, .b: 160])
    }
  }

  /// Workers that take revokes only, and calls that find nothing, do not use up the lowest class's share.
  @Test func theLowestClassIsServedWhoeverElseLeases() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.enqueue(1...1, .other)
      for round in Int64(0)..<40 {
        try await bench.enqueue(100 + 2 * round...100 + 2 * round, .a, .revoke)
        try await bench.enqueue(101 + 2 * round...101 + 2 * round, .c, .interactive)
        let lease = try await bench.lease(limit: 1)
        if lease.lane == .other {
          #expect(round < 8)
          return
        }
        try await complete(lease, bench)
        if let next = try await bench.queue.lease(worker: "r", limit: 1, classes: [.revoke]).lease {
          try await complete(next, bench)
        }
      }
      Issue.record("the bulk job was not served")
    }
  }

  @Test func revokesDoNotWaitForTheLanesOfOtherJobs() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.apply(QueueRules(version: 1, mostLanes: 2))
      for lane in Int64(1)...2 { try await fill(LaneID(connection: 1, lane: lane), bench) }
      for _ in 0..<2 { _ = try await bench.lease(limit: 5) }
      for lane in Int64(3)...6 { try await bench.enqueue(lane...lane, LaneID(connection: 1, lane: lane), .revoke) }
      try await fill(LaneID(connection: 1, lane: 7), bench)
      // As many lanes again, and no more.
      var held: [Lease] = []
      while let lease = try await bench.queue.lease(worker: "w", limit: 5).lease { held.append(lease) }
      #expect(held.map(\.lane.lane) == [3, 4])
    }
  }

  @Test func aConnectionHasNoMoreLanesInWorkThanItsCap() async throws {
    try await QueueBench.run { bench async throws in
      try await bench.queue.apply(QueueRules(version: 1, mostLanes: 2, connections: [2: .init(mostLanes: 3)]))
      for lane in Int64(1)...5 { try await fill(LaneID(connection: 1, lane: lane), bench) }
      for lane in Int64(6)...10 { try await fill(LaneID(connection: 2, lane: lane), bench) }
      for lane in Int64(11)...15 { try await fill(LaneID(connection: 0, lane: lane), bench) }
      var held: [Lease] = []
      while let lease = try await bench.queue.lease(worker: "w", limit: 5).lease { held.append(lease) }
      #expect([0, 1, 2].map { connection in held.count { $0.lane.connection == connection } } == [5, 2, 3])
      let first = try #require(held.first { $0.lane.connection == 1 })
      try await complete(first, bench)
      #expect(try await bench.lease(limit: 5).lane.connection == 1)
      #expect(try await bench.isEmpty())
      try await bench.queue.apply(QueueRules(version: 2, mostLanes: 3, connections: [2: .init(mostLanes: 3)]))
      #expect(try await bench.lease(limit: 5).lane.connection == 1)
      #expect(try await bench.isEmpty())
    }
  }

  /// With all three classes always waiting, each is served.
  @Test func noClassStarves() async throws {
    try await QueueBench.run { bench async throws in
      for (index, jobClass) in JobClass.allCases.enumerated() {
        let start = Int64(index) * 10_000 + 1
        try await bench.enqueue(start...start + 499, LaneID(connection: 1, lane: Int64(index) + 1), jobClass)
      }
      var served: [Int64: Int] = [:]
      for _ in 0..<32 {
        let lease = try await bench.lease(limit: 5)
        served[lease.lane.lane, default: 0] += 1
        try await complete(lease, bench)
      }
      #expect(served == [1: 24, 2: 4, 3: 4])
    }
  }

  /// Parking one of them reads or writes none of its lanes.
  @Test func parkingCostsTheSameForAnyNumberOfLanes() async throws {
    try await QueueBench.run { bench async throws in
      func commandsOfAPark() async throws -> Int {
        let before = try await commands(bench)
        try await bench.queue.park(connection: 1, for: .seconds(60))
        let after = try await commands(bench)
        try await bench.queue.wake(connection: 1)
        return after - before
      }
      try await bench.enqueue(1...1, .a)
      _ = try await commandsOfAPark()  // the script is loaded now
      let few = try await commandsOfAPark()
      for lane in Int64(10)...500 { try await bench.enqueue(lane...lane, LaneID(connection: 1, lane: lane)) }
      #expect(try await commandsOfAPark() == few)
    }
  }

  /// All commands that the server has run, those of scripts too.
  private func commands(_ bench: QueueBench) async throws -> Int {
    let text = try await bench.client.send(["INFO", "commandstats"]).requireText()
    return text.split(whereSeparator: \.isNewline).reduce(0) { sum, line in
      guard !line.contains("cmdstat_info"), let start = line.range(of: "calls=")?.upperBound else { return sum }
      return sum + (Int(line[start...].prefix { $0.isNumber }) ?? 0)
    }
  }

  private func fill(_ lane: LaneID, _ bench: QueueBench) async throws {
    try await bench.enqueue(lane.lane * 10_000 + 1...lane.lane * 10_000 + 1000, lane)
  }

  private func complete(_ lease: Lease, _ bench: QueueBench) async throws {
    try await bench.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
  }

  /// Leases and completes batches of ten, one at a time; counts them by connection.
  private func serve(_ leases: Int, _ bench: QueueBench) async throws -> [Int64: Int] {
    var served: [Int64: Int] = [:]
    for _ in 0..<leases {
      let lease = try await bench.lease(limit: 10)
      served[lease.lane.connection, default: 0] += 1
      try await complete(lease, bench)
    }
    return served
  }
}
