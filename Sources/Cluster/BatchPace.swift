import Metrics
import Platform
import Synchronization

/// How many jobs a worker takes at once, so that a batch takes about `batchTime`: whoever comes next in the lane, such
/// as a revoke, waits for the batch that runs.
package final class BatchPace: Sendable {
  /// Sums over the last batches, the older ones counting less.
  private struct Recent {
    var jobs = 0.0
    var seconds = 0.0
  }
  /// What a batch weighs after the next one: about the last five count.
  private static let memory = 0.8
  private let recent = Mutex(Recent())
  private let batchTime: Duration
  private let most: Int

  /// - Parameter most: jobs of a batch at most, however fast they are.
  package init(batchTime: Duration, most: Int) {
    self.batchTime = batchTime
    self.most = most
  }

  package var limit: Int {
    let (jobs, seconds) = recent.withLock { ($0.jobs, $0.seconds) }
    guard seconds > 0, jobs > 0 else { return most }
    return max(1, min(most, Int(min(batchTime.inSeconds / (seconds / jobs), Double(most)))))
  }

  package func note(_ jobs: Int, took duration: Duration) {
    recent.withLock { recent in
      recent.jobs = recent.jobs * Self.memory + Double(jobs)
      recent.seconds = recent.seconds * Self.memory + duration.inSeconds
    }
    Gauge(label: MetricName.batchLimit).record(limit)
  }
}
