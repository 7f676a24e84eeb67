import JobQueue
import Metrics
import Platform
import Synchronization

/// How many jobs of a lane are run at once, so that a batch takes about `batchTime`: whoever comes next in the lane,
/// such as a revoke, waits for the batch that runs. Each lane has its own pace: one that is slow delays no other.
package final class BatchPace: Sendable {
  /// Sums over the last batches of a lane, the older ones counting less.
  private struct Recent {
    var jobs = 0.0
    var seconds = 0.0
  }
  /// What a batch weighs after the next one: about the last five count.
  private static let memory = 0.8
  /// Lanes that are remembered. Beyond, another one is forgotten, and begins anew.
  private static let mostLanes = 10_000
  private let recent = Mutex<[LaneID: Recent]>([:])
  private let batchTime: Duration
  private let most: Int

  /// - Parameter most: jobs of a batch at most, however fast they are.
  package init(batchTime: Duration, most: Int) {
    self.batchTime = batchTime
    self.most = most
  }

  /// How many jobs to run of this lane.
  package func limit(_ lane: LaneID) -> Int { recent.withLock { paced($0[lane]) } }

  private func paced(_ recent: Recent?) -> Int {
    guard let recent, recent.seconds > 0, recent.jobs > 0 else { return most }
    return max(1, min(most, Int(min(batchTime.inSeconds / (recent.seconds / recent.jobs), Double(most)))))
  }

  /// Notes how long jobs took, whatever came of them.
  package func note(_ jobs: Int, of lane: LaneID, took duration: Duration) {
    let limit = recent.withLock { lanes in
      var recent = lanes[lane] ?? Recent()
      recent.jobs = recent.jobs * Self.memory + Double(jobs)
      recent.seconds = recent.seconds * Self.memory + duration.inSeconds
      lanes[lane] = recent
      if lanes.count > Self.mostLanes, let other = lanes.keys.first(where: { $0 != lane }) { lanes[other] = nil }
      return paced(recent)
    }
    Gauge(label: MetricName.batchLimit).record(limit)
  }
}
