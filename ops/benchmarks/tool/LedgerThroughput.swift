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
      let lanes = Array(stage.lanes.prefix(lanes))
      let batch = min(LedgerStage.workerBatch, max(1, run.scale.ledgerJobs / lanes.count))
      let ceiling = try await run.rowCeiling(of: stage, updateBatch: batch)
      let rounds = try await stage.withWorkers(workers) { _ in
        try await stage.warmUp(lanes)
        var rounds: [Round] = []
        for _ in 0..<run.scale.rounds { rounds.append(try await round(run.scale.ledgerJobs, lanes, in: stage)) }
        return rounds
      }
      return [
        Measurement(
          "\(name)/settled", median(rounds.map(\.settled)), "jobs/s", ceiling: 1 / (ceiling.insert + ceiling.update)),
        Measurement("\(name)/drained", median(rounds.map(\.drained)), "jobs/s", ceiling: 1 / ceiling.update),
        Measurement("\(name)/commands", median(rounds.map(\.commands)), "commands/job"),
        Measurement("\(name)/redis-cpu", median(rounds.map(\.redisSeconds)) * 1e6, "us/job"),
      ]
    }
  }

  private struct Round: Sendable {
    let settled: Double
    let drained: Double
    /// Of Redis, a job of either kind.
    let commands: Double
    let redisSeconds: Double
  }

  private static func round(_ count: Int, _ lanes: [LaneID], in stage: LedgerStage) async throws -> Round {
    let before = try await stage.redis.meter()
    let settled = try await Self.settled(count, lanes, in: stage)
    let drained = try await Self.drained(count, lanes, in: stage)
    let after = try await stage.redis.meter()
    let jobs = Double(2 * count)
    return Round(
      settled: settled, drained: drained, commands: (after.commands - before.commands) / jobs,
      redisSeconds: (after.processorSeconds - before.processorSeconds) / jobs)
  }

  /// From the first submission until the last job has settled.
  private static func settled(_ count: Int, _ lanes: [LaneID], in stage: LedgerStage) async throws -> Double {
    let jobs = LedgerStage.Jobs(count: count, lanes: lanes)
    let began = ContinuousClock.now
    try await stage.waitForAll(try await stage.submit(jobs))
    return Double(count) / began.duration(to: .now).seconds
  }

  /// All jobs wait in Redis; from the word go until the last job has settled.
  private static func drained(_ count: Int, _ lanes: [LaneID], in stage: LedgerStage) async throws -> Double {
    let queue = stage.redis.queue
    let waiting = try await stage.waiting()
    let version = try await queue.rulesVersion() ?? 0
    try await queue.apply(QueueRules(version: version + 1, isPaused: true))
    let jobs = try await stage.submit(LedgerStage.Jobs(count: count, lanes: lanes))
    try await stage.wait("not all jobs were enqueued") { try await stage.waiting() - waiting == count }
    let began = ContinuousClock.now
    try await queue.apply(QueueRules(version: version + 2))
    try await stage.waitForAll(jobs)
    return Double(count) / began.duration(to: .now).seconds
  }
}
