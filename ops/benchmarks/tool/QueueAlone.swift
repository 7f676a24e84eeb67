import JobQueue
import Platform

/// The queue without a ledger: jobs are enqueued, leased and settled by one process, four lanes side by side.
enum QueueAlone {
  private static let leases = 4
  private static let enqueuers = 2
  private static let firstConnection: Int64 = 1
  /// Beyond the connections that work.
  private static let firstParked: Int64 = 1000
  private static let connections = 100

  static func measurement(lanes: Int, isParked: Bool = false) -> BenchCase<QueueRun> {
    let name = QueueCases.name("queue/lanes=\(lanes)", isParked: isParked)
    return BenchCase(name: name, summary: "jobs a second through the queue alone, over \(lanes) lanes") { run in
      var rounds: [Round] = []
      for _ in 0..<run.scale.rounds {
        rounds.append(
          try await run.withRedis { redis in
            if isParked { try await park(run.scale.parkedLanes, in: redis) }
            return try await round(run, redis, lanes: lanes)
          })
      }
      return figures(name, rounds)
    }
  }

  private struct Spent: Sendable {
    let seconds: Double
    let commands: Double
    let processorSeconds: Double
  }

  private struct Round: Sendable {
    let jobs: Double
    let bareCalls: Double
    let pipelinedCalls: Double
    let enqueue: Spent
    let work: Spent
    let both: Spent
  }

  private static func round(_ run: QueueRun, _ redis: BenchRedis, lanes: Int) async throws -> Round {
    let count = run.scale.queueJobs
    let first = jobs(count, from: 1, lanes: lanes)
    let second = jobs(count, from: count + 1, lanes: lanes)
    let bare = try run.ceilings.calls(on: redis, isPipelined: false)
    let pipelined = try run.ceilings.calls(on: redis, isPipelined: true)
    let enqueue = try await spent(redis) { try await Self.enqueue(first, in: redis.queue) }
    let work = try await spent(redis) { try await Self.work(count, in: redis.queue) }
    let both = try await spent(redis) {
      async let enqueued: Void = Self.enqueue(second, in: redis.queue)
      async let worked: Void = Self.work(count, in: redis.queue)
      _ = try await (enqueued, worked)
    }
    return Round(
      jobs: Double(count), bareCalls: bare, pipelinedCalls: pipelined, enqueue: enqueue, work: work, both: both)
  }

  private static func figures(_ name: String, _ rounds: [Round]) -> [Measurement] {
    let bare = median(rounds.map(\.bareCalls))
    func rate(_ part: KeyPath<Round, Spent>) -> Double { median(rounds.map { $0.jobs / $0[keyPath: part].seconds }) }
    func share(_ part: KeyPath<Spent, Double>) -> Double {
      median(rounds.map { $0.both[keyPath: part] / $0.jobs })
    }
    return [
      Measurement("\(name)/bare-evalsha", bare, "calls/s"),
      Measurement("\(name)/bare-evalsha-pipelined", median(rounds.map(\.pipelinedCalls)), "calls/s"),
      Measurement("\(name)/enqueue", rate(\.enqueue), "jobs/s", ceiling: bare),
      Measurement("\(name)/lease-settle", rate(\.work), "jobs/s", ceiling: bare),
      Measurement("\(name)/both", rate(\.both), "jobs/s", ceiling: bare),
      Measurement("\(name)/commands", share(\.commands), "commands/job"),
      Measurement("\(name)/redis-cpu", share(\.processorSeconds) * 1e6, "us/job"),
    ]
  }

  private static func spent(_ redis: BenchRedis, _ body: @Sendable () async throws -> Void) async throws -> Spent {
    let before = try await redis.meter()
    let began = ContinuousClock.now
    try await body()
    let seconds = began.duration(to: .now).seconds
    let after = try await redis.meter()
    return Spent(
      seconds: seconds, commands: after.commands - before.commands,
      processorSeconds: after.processorSeconds - before.processorSeconds)
  }
}

extension QueueAlone {
  /// Jobs spread evenly over lanes, ten lanes to a connection.
  static func jobs(_ count: Int, from first: Int, lanes: Int, firstConnection: Int64 = firstConnection) -> [QueuedJob] {
    let ids = (0..<lanes).map {
      LaneID(connection: firstConnection + Int64($0 % connections), lane: firstConnection * 100_000 + Int64($0 + 1))
    }
    return (0..<count).map {
      QueuedJob(number: Int64(first + $0), lane: ids[$0 % lanes], jobClass: .interactive, kind: .subscribe)
    }
  }

  /// Parks connections whose lanes have a waiting job each.
  static func park(_ lanes: Int, in redis: BenchRedis) async throws {
    let parked = jobs(lanes, from: 900_000_000, lanes: lanes, firstConnection: firstParked)
    for connection in Set(parked.map(\.lane.connection)) {
      try await redis.queue.park(connection: connection, for: .seconds(3600))
    }
    _ = try await redis.queue.enqueue(parked, epoch: 1)
  }

  /// Hands jobs over as schedulers do, a thousand at a time.
  static func enqueue(_ jobs: [QueuedJob], in queue: LaneQueue) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      let share = (jobs.count + enqueuers - 1) / enqueuers
      for start in stride(from: 0, to: jobs.count, by: share) {
        let part = Array(jobs[start..<min(start + share, jobs.count)])
        group.addTask {
          for start in stride(from: 0, to: part.count, by: LaneQueue.longestBatch) {
            _ = try await queue.enqueue(Array(part[start..<min(start + LaneQueue.longestBatch, part.count)]), epoch: 1)
          }
        }
      }
      try await group.waitForAll()
    }
  }

  /// Leases and completes `count` jobs as a worker does, four lanes side by side.
  private static func work(_ count: Int, in queue: LaneQueue) async throws {
    let before = try await queue.stats().totals.completed
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<leases {
        group.addTask {
          while true {
            let reply = try await queue.lease(worker: "bench\(number)", limit: LedgerStage.workerBatch)
            if case .leased(var lease) = reply {
              while let next = try await settle(lease, in: queue, number) { lease = next }
            }
            if try await queue.stats().totals.completed - before >= count { return }
            await Task.yield()
          }
        }
      }
      try await group.waitForAll()
    }
  }

  private static func settle(_ lease: Lease, in queue: LaneQueue, _ number: Int) async throws -> Lease? {
    let settlements = Dictionary(uniqueKeysWithValues: lease.jobs.map { ($0, Settlement.done(.completed)) })
    let next = try await queue.settle(
      lease, settlements, thenLeaseAs: "bench\(number)", limit: LedgerStage.workerBatch)
    if case .leased(let lease) = next { return lease }
    return nil
  }
}
