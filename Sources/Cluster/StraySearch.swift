import JobQueue
import Logging
import Metadata
import Metrics
import Platform
import Synchronization

/// Looks for jobs that the ledger takes for enqueued and Redis does not know.
///
/// A Redis that crashed, or whose replica took over, may come back with its memory of a moment ago: the epoch is there
/// and the last jobs are not. Enqueuing is idempotent, so jobs that have been due for long are offered again, a page at
/// a time; what is known stays where it is, and the ledger is not written.
final class StraySearch: Sendable {
  private struct Position {
    var next = Deadline.after(.zero)
    var after = JobPosition.first
  }

  private let configuration: SchedulerConfiguration
  private let queue: LaneQueue
  private let metadata: MetadataDatabase
  private let logger: Logger
  private let position = Mutex(Position())

  init(configuration: SchedulerConfiguration, queue: LaneQueue, metadata: MetadataDatabase, logger: Logger) {
    self.configuration = configuration
    self.queue = queue
    self.metadata = metadata
    self.logger = logger
  }

  /// Offers the next page again, if it is time to.
  func round() async throws {
    let current = position.withLock { $0 }
    guard current.next.hasPassed else { return }
    let page = try await metadata.read {
      try await $0.longDue(since: configuration.strayAge, after: current.after, limit: configuration.roundLimit)
    }
    let added = try await queue.enqueue(page.jobs.map(QueuedJob.init)).added
    if added > 0 {
      Counter(label: MetricName.jobsEnqueued).increment(by: added)
      logger.notice("Redis did not know jobs that were enqueued; they are again", metadata: ["count": "\(added)"])
    }
    position.withLock { $0 = Position(next: .after(configuration.strayInterval), after: page.last ?? .first) }
  }
}

extension QueuedJob {
  init(_ job: OutboxJob) {
    self.init(
      number: job.id, lane: LaneID(connection: job.parkedBy, lane: job.lane), jobClass: job.jobClass, delay: job.delay)
  }
}
