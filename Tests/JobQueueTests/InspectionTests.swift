import JobQueue
import Platform
import QueueModelKit
import RandomTestKit
import Testing

/// What a look at a live queue finds: each rule, broken by hand, is reported; and nothing while the queue works.
@Suite(.timeLimit(.minutes(2)))
struct InspectionTests {
  /// Lanes in every state: two leased, one ready, one paused, one parked, with a delayed job; a connection parked, and
  /// another that a lane tries.
  private static func fill(_ bench: QueueBench) async throws {
    try await bench.queue.apply(QueueRules(version: 1, lanes: [.c: .init(isPaused: true)]))
    try await bench.enqueue(140...144, .probing)
    try await bench.queue.park(connection: 3, for: .seconds(600))
    try await bench.queue.wake(connection: 3)
    #expect(try await bench.lease(limit: 2).isHalfOpen)
    for lane in [LaneID.a, .b] { try await bench.enqueue(lane.lane * 10...lane.lane * 10 + 4, lane) }
    for _ in 0..<2 {
      let lease = try await bench.lease(limit: 2)
      #expect([.a, .b].contains(lease.lane))
    }
    for (place, lane) in [LaneID.c, .d, .e, .parked].enumerated() {
      try await bench.enqueue(Int64(place) * 10 + 100...Int64(place) * 10 + 104, lane)
    }
    try await bench.queue.park(lane: .e, for: .seconds(600))
    try await bench.queue.park(connection: 2, for: .seconds(600))
    _ = try await bench.queue.enqueue([
      QueuedJob(number: 999, lane: .d, jobClass: .bulk, kind: .sync, delay: .seconds(600))
    ])
  }

  @Test func aQueueInEveryStateKeepsItsRules() async throws {
    try await QueueBench.run { bench async throws in
      try await Self.fill(bench)
      #expect(try await bench.queue.faults() == [])
    }
  }

  struct Break: Sendable, CustomTestStringConvertible {
    let rule: String
    let command: [String]
    var testDescription: String { "\(rule): \(command.joined(separator: " "))" }

    init(_ rule: String, _ command: String) {
      (self.rule, self.command) = (rule, command.split(separator: " ").map(String.init))
    }
  }

  private static func job(_ number: Int64) -> String {
    QueuedJob(number: number, lane: .a, jobClass: .bulk, kind: .sync).text
  }

  /// `@name` is a key of the shard.
  private static let breaks = [
    Break("sum", "HINCRBY @counters waiting:2s 1"), Break("sum", "HINCRBY @counters leased:s -1"),
    Break("sum", "HINCRBY @counters delayed:s 1"), Break("sum", "DEL @depths"), Break("sum", "DEL @delayed"),
    Break("lane count", "HINCRBY @counts 0000000001.0000000004 1"),
    Break("sum", "HDEL @counts 0000000001.0000000004"), Break("sum", "ZREM @lanes 0000000001.0000000004"),
    Break("lane count", "ZREM @waiting 0000000004\(job(110))"),
    Break("sum", "ZADD @waiting 0 0000000099\(job(110))"),
    Break("lane place", "HDEL @places 0000000001.0000000004"), Break("sum", "DEL @ready"),
    Break("lane place", "ZREM @leases 0000000001.0000000001"), Break("sum", "HDEL @lease 0000000001.0000000001"),
    Break("lane place", "ZREM @parked 0000000001.0000000005"),
    Break("lane place", "HDEL @rules pause:0000000001.0000000003"),
    Break("lane place", "ZADD @parked 99999999999999 0000000001.0000000004"),
    Break("connection turn", "DEL @turns:2"), Break("connection turn", "HSET @phase 0000000001 parked"),
    Break("fence", "SET @epoch 2"), Break("fence", "SET @sequence 1"),
    Break("job twice", "ZADD @waiting 0 0000000001\(job(10))"),
    Break("lanes in work", "HINCRBY @work 0000000001 1"), Break("lanes in work", "HSET @work 0000000077 1"),
    Break("phase", "ZREM @parked 0000000002"), Break("phase", "HSET @phase 0000000002 half"),
    Break("phase", "HSET @phase 0000000003 0000000003.0000000077"),
    Break("ready lane", "HSET @places 0000000001.0000000004 20000000001000000000000000000000000004"),
    Break("ready lane", "ZADD @ready 0 20000000001000000000000000000000000066"),
  ]

  @Test(arguments: breaks) func aBrokenRuleIsReported(_ broken: Break) async throws {
    try await QueueBench.run { bench async throws in
      try await Self.fill(bench)
      _ = try await bench.client.send(broken.command.map { $0.replacing("@", with: "{sluice:0}:") })
      let faults = try await bench.queue.faults()
      #expect(faults.contains { $0.rule == broken.rule }, "\(faults)")
    }
  }

  @Test func whatIsOverdueIsMeasured() async throws {
    try await QueueBench.run { bench async throws in
      try await Self.fill(bench)
      #expect(try await bench.queue.balance().overdueDelayed == .zero)
      try await bench.advance(by: .seconds(700))
      let balance = try await bench.queue.balance()
      #expect(balance.overdueDelayed == .seconds(100) && balance.overdueParked == .seconds(100))
      #expect(balance.overdueLease == .seconds(670))
    }
  }

  @Test func pagesOfLanesCoverAll() async throws {
    try await QueueBench.run { bench async throws in
      for lane in Int64(1)...25 {
        try await bench.enqueue(lane * 10...lane * 10, LaneID(connection: lane % 3 + 1, lane: lane))
      }
      _ = try await bench.client.send(["DEL", "{sluice:0}:counts"])
      var (last, found, pages): (LaneID?, Set<String>, Int) = (nil, [], 0)
      repeat {
        let page = try await bench.queue.inspect(after: last, limit: 10)
        found.formUnion(page.faults.map(\.subject))
        (last, pages) = (page.last, pages + 1)
      } while last != nil
      #expect(found.count == 25 && pages == 3)
    }
  }

  @Test func aBusyQueueShowsNoFault() async throws {
    try await QueueBench.run { bench async throws in
      _ = try await bench.client.send(["DEL", "{sluice:0}:clock"])
      try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<4 {
          group.addTask {
            var random = SeededGenerator(seed: UInt64(worker))
            for _ in 0..<500 { try await bench.workAtRandom(worker, &random) }
          }
        }
        group.addTask {
          for _ in 0..<300 {
            let faults = try await bench.queue.faults()
            #expect(faults == [])
          }
        }
        try await group.waitForAll()
      }
      #expect(try await bench.queue.stats().totals.started > 0)
    }
  }

  @Test func statesOfLanesAndConnectionsAreThoseOfThePages() async throws {
    try await QueueBench.run { bench async throws in
      try await Self.fill(bench)
      let depths = try await bench.queue.lanes()
      let states = try await bench.queue.states(of: depths.map(\.lane))
      #expect(states.map(\.waiting) == depths.map(\.waiting) && states.map(\.worker) == depths.map(\.worker))
      let stats = try await bench.queue.stats()
      for (id, depth) in stats.connections {
        #expect(try await bench.queue.states(ofConnections: [id]) == [depth])
      }
      for lease in stats.leases {
        #expect(try await bench.queue.states(of: [lease.lane]).map(\.leased) == [lease.jobs])
      }
    }
  }
}

extension LaneID {
  fileprivate static let d = LaneID(connection: 1, lane: 4)
  fileprivate static let e = LaneID(connection: 1, lane: 5)
  fileprivate static let parked = LaneID(connection: 2, lane: 6)
  fileprivate static let probing = LaneID(connection: 3, lane: 7)
}

extension LaneQueue {
  /// All that an inspection finds.
  func faults() async throws -> [QueueFault] {
    var faults = try await balance().faults
    var last: LaneID?
    repeat {
      let page = try await inspect(after: last, limit: 3)
      faults += page.faults
      last = page.last
    } while last != nil
    return faults
  }
}

extension QueueBench {
  /// One operation of a worker or a producer.
  fileprivate func workAtRandom(_ worker: Int, _ random: inout SeededGenerator) async throws {
    let lane = LaneID(connection: .random(in: 1...3, using: &random), lane: 0)
    let number = Int64.random(in: 1...9, using: &random) * 3 + lane.connection
    let place = LaneID(connection: lane.connection, lane: number)
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<3:
      let first = Int64.random(in: 1...1_000_000, using: &random) * 100 + number
      let jobs = (0..<Int64(20)).map {
        QueuedJob(
          number: first + $0 * 100_000_000, lane: place, jobClass: JobClass(rawValue: Int($0 % 3))!, kind: .sync,
          delay: $0 % 7 == 0 ? .milliseconds(30) : nil)
      }
      _ = try await queue.enqueue(jobs)
    case 3..<8:
      guard case .leased(let lease) = try await queue.lease(worker: "w\(worker)", limit: 8) else { return }
      if number % 5 == 0 {
        try await queue.park(connection: lease.lane.connection, for: .milliseconds(20), releasing: lease)
      } else {
        let outcome: Settlement = number % 4 == 0 ? .again(after: .milliseconds(20)) : .done(.completed)
        try await queue.settle(lease, Dictionary(uniqueKeysWithValues: lease.jobs.map { ($0, outcome) }))
      }
    case 8: try await queue.park(lane: place, for: .milliseconds(20))
    default: try await queue.wake(connection: lane.connection)
    }
  }
}
