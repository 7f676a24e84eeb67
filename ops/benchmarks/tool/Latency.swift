import Foundation
import JobQueue
import Platform
import Synchronization

/// From handing a job in until it starts, on a system that has nothing else to do: one job every 5 ms.
enum Latency {
  private static let interval: Duration = .milliseconds(5)
  private static let lanes = 10
  private static let milliseconds = 1e6

  /// From the call of `enqueue` until a worker holds the lease.
  static func queueAlone(isParked: Bool = false) -> BenchCase<QueueRun> {
    let name = QueueCases.name("latency/queue", isParked: isParked)
    return BenchCase(name: name, summary: "from enqueue to leased, one job every 5 ms, without a ledger") { run in
      try await run.withRedis { redis in
        if isParked { try await QueueAlone.park(run.scale.parkedLanes, in: redis) }
        let roundTrip = 1e3 / (try run.ceilings.calls(on: redis, isPipelined: false))
        let jobs = QueueAlone.jobs(run.scale.latencyJobs, from: 1, lanes: lanes)
        let starts = Mutex<[Int64: Int64]>([:])
        let consumer = BenchRedis.connect(port: redis.server.port)
        // Ends with the last job; awaited below.
        async let consumed: Void = consume(jobs.count, from: consumer.2) { job in
          let now = monotonicNanoseconds()
          starts.withLock { $0[job] = now }
        }
        let sent = try await paced(jobs) { job in
          _ = try await redis.queue.enqueue([job], epoch: 1)
          return job.number
        }
        try await consumed
        await consumer.0.close()
        await consumer.1.close()
        return try figures(name, sent, starts.withLock { $0 }, ceiling: roundTrip)
      }
    }
  }

  /// From the call of `submit`, so with its commit, until the handler has the job.
  static func withLedger(isParked: Bool = false) -> BenchCase<QueueRun> {
    let name = QueueCases.name("latency/ledger", isParked: isParked)
    return BenchCase(name: name, summary: "from submit to started, one job every 5 ms, through the ledger") { run in
      let stage = try await run.stage(parkedLanes: isParked ? run.scale.parkedLanes : 0)
      let commit = try run.ceilings.rows(
        at: stage.postgres.url(), batch: 1, updateBatch: 1, rows: run.scale.latencyJobs)
      let lanes = Array(stage.lanes.prefix(lanes))
      let requests = LedgerStage.Jobs(count: run.scale.latencyJobs, lanes: lanes).requests
      return try await stage.withWorkers(1) { workers in
        try await stage.warmUp(lanes)
        // A producer that has nothing else to write needs no transaction around the one statement.
        let sent = try await paced(requests) { request in
          try await stage.metadata.statement { try await $0.submit([request])[0].id }
        }
        try await stage.wait("not all jobs started") {
          let starts = try workers[0].starts()
          return sent.keys.allSatisfy { starts[$0] != nil }
        }
        return try figures(name, sent, try workers[0].starts(), ceiling: commit.insert * 1e3)
      }
    }
  }

  private static func figures(
    _ name: String, _ sent: [Int64: Int64], _ starts: [Int64: Int64], ceiling: Double
  ) throws -> [Measurement] {
    let waits = try sent.map { job, at in
      guard let start = starts[job] else { throw BenchError("job \(job) never started") }
      return Double(start - at) / milliseconds
    }
    return [
      Measurement("\(name)/p50", percentile(0.5, of: waits), "ms", ceiling: ceiling),
      Measurement("\(name)/p99", percentile(0.99, of: waits), "ms", ceiling: ceiling),
    ]
  }

  /// Hands in one item every 5 ms, however long the one before takes; returns when each was begun.
  private static func paced<Item: Sendable>(
    _ items: [Item], _ send: @escaping @Sendable (Item) async throws -> Int64
  ) async throws -> [Int64: Int64] {
    try await withThrowingTaskGroup(of: (Int64, Int64).self) { group in
      let began = ContinuousClock.now
      for (index, item) in items.enumerated() {
        // no event: the pace is the measurement's own
        try await Task.sleep(until: began.advanced(by: interval * (index + 1)), tolerance: .zero, clock: .continuous)
        group.addTask {
          let at = monotonicNanoseconds()
          return (try await send(item), at)
        }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
  }

  /// Leases as a worker does until it has seen `count` jobs.
  private static func consume(_ count: Int, from queue: LaneQueue, _ note: @Sendable (Int64) -> Void) async throws {
    var seen = 0
    while seen < count {
      switch try await queue.lease(worker: "bench", limit: LedgerStage.workerBatch) {
      case .leased(let lease):
        lease.jobs.forEach(note)
        seen += lease.jobs.count
        try await queue.settle(
          lease, Dictionary(uniqueKeysWithValues: lease.jobs.map { ($0, .done(.completed)) }))
      case .empty(let due):
        await queue.waitForWork(atMost: max(due ?? .seconds(1), .milliseconds(1)))
      }
    }
  }
}
