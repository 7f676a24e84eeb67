import Platform

/// What a connection's lanes wait for, if anything.
package enum ConnectionPhase: Sendable, Hashable {
  /// No lane is leased; nil if the time has just come.
  case parked(triedAgainIn: Duration?)
  /// The next batch tries it.
  case halfOpen
  /// A batch of this lane tries it.
  case probing(LaneID)
}

/// The state of a shard at one instant.
package struct QueueStats: Sendable {
  package struct LaneDepth: Sendable { package let lane: LaneID, waiting: Int }

  package struct LeaseSummary: Sendable {
    package let lane: LaneID
    package let worker: String
    package let fence: Fence
    package let jobs: Int
    /// Zero if it has expired and nobody has leased anything since.
    package let expiresIn: Duration
  }

  /// Jobs by what became of them since the epoch began.
  package struct Totals: Sendable, Equatable {
    package var completed = 0, discarded = 0, cancelled = 0
    /// Put back with a delay.
    package var retried = 0
    /// Given back without one, by release or park or because a settlement did not mention them.
    package var returned = 0
    /// Taken from workers whose lease expired.
    package var reaped = 0
    /// Reports under a lease that was not current; counted by report.
    package var stale = 0
    /// Calls of lease, empty ones too.
    package var leaseCalls = 0
  }

  package let epoch: Int64
  package let waiting: [JobClass: Int]
  /// Jobs in leased batches.
  package let leased: Int
  package let delayed: Int
  /// Lanes with waiting jobs, at most `LaneQueue.longestListing` of `laneCount`.
  package let lanes: [LaneDepth]
  package let laneCount: Int
  package let phases: [Int64: ConnectionPhase]
  package let isPaused: Bool
  package let pausedLanes: [LaneID]
  /// Current leases, the next to expire first, at most `LaneQueue.longestListing`.
  package let leases: [LeaseSummary]
  package let totals: Totals

  package var waitingTotal: Int { waiting.values.reduce(0, +) }

  /// Waiting jobs by connection, of the lanes that are listed.
  package var waitingByConnection: [Int64: Int] {
    lanes.reduce(into: [:]) { $0[$1.lane.connection, default: 0] += $1.waiting }
  }

  /// Waiting jobs of connections that are parked or being tried.
  package var parked: Int {
    lanes.reduce(0) { $0 + (phases[$1.lane.connection] == nil ? 0 : $1.waiting) }
  }
}

/// Where a job is, and what it waits for.
package enum JobPlace: Sendable, Equatable {
  /// `ahead` jobs of its lane come first; `laneLeasedTo` names the worker that has the lane now.
  case waiting(ahead: Int, laneLeasedTo: String?, phase: ConnectionPhase?, isPaused: Bool)
  case delayed(Duration)
  case leased(worker: String)
  /// Not in the queue: settled, or never enqueued.
  case absent
}
