import JobQueue
import Platform

/// Submit, hand over, lease, claim, run, settle: everything that the product does, and every commit durable.
enum LedgerThroughput {
  static let all = QueueCases.laneCounts.flatMap { lanes in
    QueueCases.workerCounts.map { measurement(lanes: lanes, workers: $0) }
  }

  static func measurement(lanes: Int, workers: Int, isParked: Bool = false) -> BenchCase<QueueRun> {
    let name = QueueCases.name("ledger/lanes=\(lanes)/workers=\(workers)", isParked: isParked)
    return BenchCase(
      name: name, summary: "jobs a second with the ledger: submit to settled, and drained; \(workers) workers"
    ) { run in
      let stage = try await run.stage(parkedLanes: isParked ? run.scale.parkedLanes : 0)
      let ceiling = try await run.rowCeiling(of: stage)
      let lanes = Array(stage.lanes.prefix(lanes))
      var through: [Double] = []
      var drains: [Double] = []
      let before = try await stage.redis.meter()
      for _ in 0..<run.scale.rounds {
        through.append(try await settled(run.scale.ledgerJobs, lanes, workers, in: stage))
        drains.append(try await drained(run.scale.ledgerJobs, lanes, workers, in: stage))
      }
      let after = try await stage.redis.meter()
      let jobs = Double(2 * run.scale.rounds * run.scale.ledgerJobs)
      return [
        Measurement("\(name)/settled", median(through), "jobs/s", ceiling: 1 / (ceiling.insert + ceiling.update)),
        Measurement("\(name)/drained", median(drains), "jobs/s", ceiling: 1 / ceiling.update),
        Measurement("\(name)/redis-cpu", (after.processorSeconds - before.processorSeconds) / jobs * 1e6, "us/job"),
      ]
    }
  }

  /// From the first submission until the last job has settled.
  private static func settled(
    _ count: Int, _ lanes: [LaneID], _ workers: Int, in stage: LedgerStage
  ) async throws -> Double {
    let jobs = LedgerStage.Jobs(count: count, lanes: lanes)
    return try await stage.withWorkers(workers) { _ in
      let began = ContinuousClock.now
      try await stage.waitForAll(try await stage.submit(jobs))
      return Double(count) / began.duration(to: .now).seconds
    }
  }

  /// All jobs wait in Redis, the workers too; from the word go until the last job has settled.
  private static func drained(
    _ count: Int, _ lanes: [LaneID], _ workers: Int, in stage: LedgerStage
  ) async throws -> Double {
    let queue = stage.redis.queue
    let waiting = try await stage.waiting()
    let version = try await queue.rulesVersion() ?? 0
    try await queue.apply(QueueRules(version: version + 1, isPaused: true))
    let jobs = try await stage.submit(LedgerStage.Jobs(count: count, lanes: lanes))
    try await stage.wait("not all jobs were enqueued") { try await stage.waiting() - waiting == count }
    return try await stage.withWorkers(workers) { _ in
      let began = ContinuousClock.now
      try await queue.apply(QueueRules(version: version + 2))
      try await stage.waitForAll(jobs)
      return Double(count) / began.duration(to: .now).seconds
    }
  }
}
