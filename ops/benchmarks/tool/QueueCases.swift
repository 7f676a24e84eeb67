/// What `ops/bench queue` measures, in the order in which it does.
enum QueueCases {
  static let laneCounts = [1, 10, 1000]
  static let workerCounts = [1, 2, 4]

  static let all: [BenchCase<QueueRun>] =
    laneCounts.map { QueueAlone.measurement(lanes: $0) } + LedgerThroughput.all + [
      Latency.queueAlone(), Latency.withLedger(), Footprint.waiting, Footprint.stats, CrashRecovery.measurement,
    ] + parked

  /// Again, with lanes parked that nobody may look at.
  private static let parked: [BenchCase<QueueRun>] = [
    QueueAlone.measurement(lanes: 10, isParked: true),
    LedgerThroughput.measurement(lanes: 10, workers: 2, isParked: true),
    Latency.queueAlone(isParked: true), Latency.withLedger(isParked: true), Footprint.parkedStats,
  ]

  /// The name of a case, and of the same one with lanes parked.
  static func name(_ name: String, isParked: Bool) -> String { isParked ? "parked/\(name)" : name }
}
