import Platform

/// A lane, held whole by one worker, with a batch of its jobs.
package struct Lease: Sendable, Hashable {
  package let lane: LaneID
  package let fence: Fence
  /// Job numbers in the order they should be worked: by class, then by age.
  package let jobs: [Int64]
  /// Where in `jobs` each class begins.
  let classStarts: [Int]
  package let worker: String
  package let ttl: Duration
  /// Until when this worker may trust the lease on its own clock, if nothing extends it: counted from before Redis was
  /// asked, so it never ends later than in Redis.
  package let trustedUntil: Deadline
  /// True if this batch tries a connection that was parked: the connection's other lanes wait for how it goes.
  package let isHalfOpen: Bool
  /// When another lease may be there, counted from this one: zero, at once; otherwise as `LeaseReply.empty`.
  package let nextDue: Duration?

  package init(
    lane: LaneID, fence: Fence, jobs: [Int64], classStarts: [Int] = [], worker: String, ttl: Duration,
    trustedUntil: Deadline, isHalfOpen: Bool, nextDue: Duration? = .zero
  ) {
    self.lane = lane
    self.fence = fence
    self.jobs = jobs
    self.classStarts = classStarts
    self.worker = worker
    self.ttl = ttl
    self.trustedUntil = trustedUntil
    self.isHalfOpen = isHalfOpen
    self.nextDue = nextDue
  }

  /// The first `limit` jobs, and among them one of each class in any case: a lane whose batches are cut short must not
  /// keep its lower classes waiting for ever.
  package func jobs(atMost limit: Int) -> [Int64] {
    guard jobs.count > limit else { return jobs }
    let others = jobs.indices.filter { !classStarts.contains($0) }
    let taken = classStarts + others.prefix(max(0, limit - classStarts.count))
    return taken.sorted().map { jobs[$0] }
  }
}

package enum LeaseReply: Sendable {
  case leased(Lease)
  /// Nothing can be taken now. `nextDue` is when a delayed job, an expiring lease or a parked connection may change
  /// that; nil if nothing is under way, or the whole queue is paused.
  case empty(nextDue: Duration?)
}
