import Platform

/// Which lease is the later one: the epoch comes from the ledger and rises whenever Redis lost its memory, the sequence
/// from Redis. Results are written only under the fence that was leased.
package struct Fence: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let epoch: Int64
  package let sequence: Int64

  package init(epoch: Int64, sequence: Int64) {
    self.epoch = epoch
    self.sequence = sequence
  }

  package var description: String { "\(epoch).\(sequence)" }

  package static func < (left: Fence, right: Fence) -> Bool {
    (left.epoch, left.sequence) < (right.epoch, right.sequence)
  }
}

/// A lane, held whole by one worker, with a batch of its jobs.
package struct Lease: Sendable, Hashable {
  package let lane: LaneID
  package let fence: Fence
  /// Job numbers in the order they should be worked: by class, then by age.
  package let jobs: [Int64]
  package let worker: String
  package let ttl: Duration
  /// Until when this worker may trust the lease on its own clock, if nothing extends it: counted from before Redis was
  /// asked, so it never ends later than in Redis.
  package let trustedUntil: Deadline
  /// True if this batch tries a connection that was parked: the connection's other lanes wait for how it goes.
  package let isHalfOpen: Bool
}

package enum LeaseReply: Sendable {
  case leased(Lease)
  /// Nothing can be taken now. `nextDue` is when a delayed job, an expiring lease or a parked connection may change
  /// that; nil if nothing is under way, or the whole queue is paused.
  case empty(nextDue: Duration?)
}
