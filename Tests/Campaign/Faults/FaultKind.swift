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
  /// To a replica that was paused for a while and lacks what was written meanwhile.
  case redisTailLost = "Redis failed over, its tail lost"
  case metadataRestarted = "metadata restarted"
  case metadataAborted = "metadata aborted"
  case metadataKilled = "metadata killed"
  /// SIGSTOP: it is there and does not answer.
  case metadataPaused = "metadata paused"
  /// Sluice's sessions are ended, and nothing else.
  case metadataSessionsEnded = "metadata sessions ended"
  case targetRestarted = "target restarted"
  case targetKilled = "target killed"
  case targetStopped = "target stopped"
  case targetPaused = "target paused"
  case targetSessionsEnded = "target sessions ended"
  case networkCut = "network cut"
  case networkDelayed = "network delayed"

  /// Faults of one part follow each other; those of different parts may overlap.
  package enum Part: CaseIterable, Sendable { case worker, scheduler, redis, metadata, target, network }

  package var part: Part {
    switch self {
    case .workerKilled, .workerPaused, .workerDrained: .worker
    case .schedulerKilled, .schedulerPaused: .scheduler
    case .redisKilled, .redisEmptied, .redisAged, .redisFlushed, .redisPaused, .redisFailedOver, .redisTailLost: .redis
    case .metadataRestarted, .metadataAborted, .metadataKilled, .metadataPaused, .metadataSessionsEnded: .metadata
    case .targetRestarted, .targetKilled, .targetStopped, .targetPaused, .targetSessionsEnded: .target
    case .networkCut, .networkDelayed: .network
    }
  }

  /// How long it lasts, in seconds.
  func length(lease: Double) -> ClosedRange<Double> {
    switch self {
    case .workerPaused: lease + 0.5...lease + 2.5
    case .networkCut: 0.5...lease + 2
    case .schedulerPaused, .networkDelayed, .redisPaused: 1...4
    case .redisTailLost: 0.5...2
    case .targetStopped, .targetPaused, .metadataPaused: 2...lease + 2
    case .workerKilled, .workerDrained, .schedulerKilled, .redisFlushed, .metadataSessionsEnded, .targetSessionsEnded:
      0...0
    default: 0...1
    }
  }
}
