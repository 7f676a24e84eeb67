/// What is done to the cluster. The raw value is how the log and the report name it.
package enum FaultKind: String, CaseIterable, Sendable {
  case workerKilled = "worker killed"
  /// SIGSTOP for longer than the lease, then SIGCONT.
  case workerPaused = "worker paused"
  case workerDrained = "worker drained"
  case schedulerKilled = "scheduler killed"
  case schedulerPaused = "scheduler paused"
  case redisKilled = "Redis killed"
  case redisEmptied = "Redis killed, its file lost"
  case redisAged = "Redis killed, an old file back"
  case redisFlushed = "Redis flushed"
  case redisPaused = "Redis paused"
  case redisFailedOver = "Redis failed over"
  case metadataRestarted = "metadata restarted"
  case metadataAborted = "metadata aborted"
  case metadataKilled = "metadata killed"
  case targetRestarted = "target restarted"
  case targetKilled = "target killed"
  case targetStopped = "target stopped"
  case networkCut = "network cut"
  case networkDelayed = "network delayed"

  /// Faults of one part follow each other; those of different parts may overlap.
  package enum Part: CaseIterable, Sendable { case worker, scheduler, redis, metadata, target, network }

  package var part: Part {
    switch self {
    case .workerKilled, .workerPaused, .workerDrained: .worker
    case .schedulerKilled, .schedulerPaused: .scheduler
    case .redisKilled, .redisEmptied, .redisAged, .redisFlushed, .redisPaused, .redisFailedOver: .redis
    case .metadataRestarted, .metadataAborted, .metadataKilled: .metadata
    case .targetRestarted, .targetKilled, .targetStopped: .target
    case .networkCut, .networkDelayed: .network
    }
  }

  /// How long it lasts, in seconds.
  func length(lease: Double) -> ClosedRange<Double> {
    switch self {
    case .workerPaused: lease + 0.5...lease + 2.5
    case .networkCut: 0.5...lease + 2
    case .schedulerPaused, .networkDelayed, .redisPaused: 1...4
    case .targetStopped: 2...5
    case .workerKilled, .workerDrained, .schedulerKilled, .redisFlushed: 0...0
    default: 0...1
    }
  }
}
