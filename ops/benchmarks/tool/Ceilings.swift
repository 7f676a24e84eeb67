import CCeiling
import Foundation

/// What the engines can do at best, measured on the case's own servers beside the case.
struct Ceilings: Sendable {
  let scale: Scale

  /// Keys of a transition of the queue; a bare call carries as many.
  private static let keys = 27
  /// Calls that a worker has on their way at most: a settlement and a lease for each of its four lanes.
  private static let depth = 8
  /// What a row of the ledger carries.
  static let payloadBytes = 100

  /// Bare EVALSHA calls a second, one at a time or pipelined as a worker does.
  func calls(on redis: BenchRedis, isPipelined: Bool) throws -> Double {
    let seconds = ceiling_evalsha(
      Int32(redis.server.port), Int32(Self.keys), Int32(scale.bareCalls), isPipelined ? Int32(Self.depth) : 1)
    guard seconds > 0 else { throw BenchError("the bare client cannot work with Redis on port \(redis.server.port)") }
    return Double(scale.bareCalls) / seconds
  }

  /// Seconds a row for a bare multi-row INSERT and for a bare multi-row UPDATE, committed by batches.
  func rows(at url: String, batch: Int, updateBatch: Int, rows: Int) throws -> (insert: Double, update: Double) {
    let spent = ceiling_rows(url, Int32(rows), Int32(batch), Int32(updateBatch), Int32(Self.payloadBytes))
    guard spent.insert_seconds > 0, spent.update_seconds > 0 else {
      throw BenchError("the bare client cannot work with the private PostgreSQL")
    }
    return (spent.insert_seconds / Double(rows), spent.update_seconds / Double(rows))
  }
}

/// How much work a run does.
struct Scale: Sendable {
  let bareCalls: Int
  let bareRows: Int
  /// Jobs of one round of a throughput case with a ledger.
  let ledgerJobs: Int
  /// Jobs of one round of a case without one.
  let queueJobs: Int
  let rounds: Int
  let latencyJobs: Int
  let waiting: [Int]
  let parkedLanes: Int

  static let full = Scale(
    bareCalls: 20_000, bareRows: 20_000, ledgerJobs: 10_000, queueJobs: 100_000, rounds: 3, latencyJobs: 800,
    waiting: [1000, 100_000, 1_000_000], parkedLanes: 10_000)
  /// To see that everything works; its figures say nothing.
  static let quick = Scale(
    bareCalls: 200, bareRows: 200, ledgerJobs: 400, queueJobs: 1000, rounds: 1, latencyJobs: 20,
    waiting: [100, 1000], parkedLanes: 100)
}
