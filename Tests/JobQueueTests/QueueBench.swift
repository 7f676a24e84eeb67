import JobQueue
import Logging
import Platform
import Redis
import RedisTestKit
import Testing

/// A queue on a server of its own, with a clock that only the test moves.
struct QueueBench {
  let redis: PrivateRedis
  let client: RedisClient
  let queue: LaneQueue

  static func run(_ body: (QueueBench) async throws -> Void) async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      var limits = LaneQueue.Configuration()
      limits.mostWaitingOfConnection = limits.mostWaiting
      let queue = LaneQueue(
        client: client, wakeClient: redis.client(), configuration: limits, scripts: .timed())
      let bench = QueueBench(redis: redis, client: client, queue: queue)
      try await bench.setClock(milliseconds: 1_000_000)
      #expect(try await queue.establish(epoch: 7))
      try await body(bench)
    }
  }

  func setClock(milliseconds: Int) async throws {
    _ = try await client.send(["SET", "{sluice:0}:clock", String(milliseconds)])
  }

  func advance(by duration: Duration) async throws {
    _ = try await client.send(["INCRBY", "{sluice:0}:clock", String(duration.wholeMilliseconds)])
  }

  func enqueue(_ numbers: ClosedRange<Int64>, _ lane: LaneID, _ jobClass: JobClass = .bulk) async throws {
    _ = try await queue.enqueue(numbers.map { QueuedJob(number: $0, lane: lane, jobClass: jobClass, kind: .sync) })
  }

  /// A lease, or a failed test.
  func lease(_ worker: String = "w", limit: Int = 100, classes: Set<JobClass> = Set(JobClass.allCases)) async throws
    -> Lease
  {
    try #require(try await queue.lease(worker: worker, limit: limit, classes: classes).lease)
  }

  func isEmpty() async throws -> Bool { try await queue.lease(worker: "w", limit: 1).lease == nil }
}

extension QueueScripts {
  /// With a clock that stands where the key `clock` says, if there is one.
  static func timed(edit: (String, String) -> String = { $1 }) -> QueueScripts {
    QueueScripts { name, text in
      let timed = text.replacing(
        "local time = call('TIME')",
        with:
          "local fixed, time = call('GET', '{sluice:0}:clock'), call('TIME') if fixed then return tonumber(fixed) end")
      return edit(name, name == "shard" ? timed : text)
    }
  }
}

extension LeaseReply {
  var lease: Lease? { if case .leased(let lease) = self { lease } else { nil } }
  var nextDue: Duration? { if case .empty(let due) = self { due } else { nil } }
}

extension LaneID {
  static let a = LaneID(connection: 1, lane: 1)
  static let b = LaneID(connection: 1, lane: 2)
  static let c = LaneID(connection: 1, lane: 3)
  static let other = LaneID(connection: 2, lane: 4)
}
