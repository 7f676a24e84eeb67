import JobQueue

extension LaneQueue {
  /// As a scheduler whose ledger agrees with Redis about the epoch.
  func enqueue(_ jobs: [QueuedJob]) async throws(JobQueueError) -> LaneQueue.Enqueued {
    try await enqueue(jobs, epoch: try await epoch() ?? 0)
  }
}
