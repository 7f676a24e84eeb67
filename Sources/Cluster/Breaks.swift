import Metadata
import Synchronization

/// Which jobs were running when a session in a target broke off, and how often in a row, as this worker saw it.
final class Breaks: Sendable {
  /// After so many, the jobs run in ever smaller parts, and one that is alone then is to blame.
  static let patience = 3
  /// Jobs that are remembered; beyond, counting begins anew.
  private static let mostJobs = 10_000
  private let counts = Mutex<[Int64: Int]>([:])

  func count(of job: ClaimedJob) -> Int { counts.withLock { $0[job.id] ?? 0 } }

  func note(_ jobs: [ClaimedJob]) {
    counts.withLock { counts in
      if counts.count + jobs.count > Self.mostJobs { counts = [:] }
      for job in jobs { counts[job.id, default: 0] += 1 }
    }
  }

  func forget(_ jobs: [ClaimedJob]) { counts.withLock { counts in for job in jobs { counts[job.id] = nil } } }

  /// Which of these to run together now: all of them, or half as many with each break beyond patience.
  func part(of jobs: [ClaimedJob]) -> [ClaimedJob] {
    let most = jobs.map(count).max() ?? 0
    return Array(jobs.prefix(max(1, jobs.count >> max(0, most - Self.patience + 1))))
  }
}
