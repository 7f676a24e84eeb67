import Foundation
import LocalServers

/// One run of `ops/bench queue`: its directory, its servers, and how much it does.
actor QueueRun {
  nonisolated let scale: Scale
  nonisolated let ceilings: Ceilings
  private let directory: String
  private var made = 0
  private var stages: [Int: LedgerStage] = [:]
  private var rowCeilings: [Int: RowCeiling] = [:]

  init(scale: Scale) throws {
    self.scale = scale
    ceilings = Ceilings(scale: scale)
    directory = "\(NSTemporaryDirectory())/sluice-bench-\(getpid())"
    // The servers' own user passes through it; what they make in it is closed.
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
  }

  /// Stops what still runs and removes every file.
  func end() async {
    for stage in stages.values { await stage.stop() }
    // best effort: the system empties its temporary directory by itself
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Runs `body` with a Redis that holds nothing.
  nonisolated func withRedis<Value: Sendable>(
    _ body: @Sendable (BenchRedis) async throws -> Value
  ) async throws -> Value {
    let redis = try await BenchRedis.start(in: await newDirectory("redis"))
    do {
      _ = try await redis.queue.establish(epoch: 1)
      let value = try await body(redis)
      await redis.stop()
      return value
    } catch {
      await redis.stop()
      throw error
    }
  }

  /// The queue with a ledger and a scheduler; kept for the cases that follow.
  ///
  /// - Parameter parkedLanes: lanes with a job each that waits in a parked connection.
  func stage(parkedLanes: Int = 0) async throws -> LedgerStage {
    if let stage = stages[parkedLanes] { return stage }
    let stage = try await LedgerStage.start(in: newDirectory("stage"))
    stages[parkedLanes] = stage
    if parkedLanes > 0 { try await stage.park(lanes: parkedLanes) }
    return stage
  }

  struct RowCeiling: Sendable {
    let insert: Double
    let update: Double
  }

  /// Seconds a row for a bare multi-row INSERT and UPDATE in batches as large as the product's own; measured once.
  func rowCeiling(of stage: LedgerStage, updateBatch: Int) throws -> RowCeiling {
    if let known = rowCeilings[updateBatch] { return known }
    let measured = try ceilings.rows(
      at: stage.postgres.url(), batch: LedgerStage.producerBatch, updateBatch: updateBatch, rows: scale.bareRows)
    let ceiling = RowCeiling(insert: measured.insert, update: measured.update)
    rowCeilings[updateBatch] = ceiling
    return ceiling
  }

  private func newDirectory(_ name: String) -> String {
    made += 1
    return "\(directory)/\(name)\(made)"
  }
}
