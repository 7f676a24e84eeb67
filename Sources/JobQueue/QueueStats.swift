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
  package struct ConnectionDepth: Sendable, Equatable {
    package var waiting: Int
    /// Leased lanes.
    package var lanesInWork: Int
    /// Nil for one that is open.
    package var phase: ConnectionPhase?

    package init(waiting: Int, lanesInWork: Int, phase: ConnectionPhase?) {
      (self.waiting, self.lanesInWork, self.phase) = (waiting, lanesInWork, phase)
    }
  }

  package struct KindDepth: Sendable, Equatable {
    package var waiting, leased, delayed: Int

    package init(waiting: Int, leased: Int, delayed: Int) {
      (self.waiting, self.leased, self.delayed) = (waiting, leased, delayed)
    }
  }

  package struct LeaseSummary: Sendable {
    package let lane: LaneID
    package let worker: String
    package let fence: Fence
    package let jobs: Int
    package let since: Duration
    /// Zero if it has expired and nobody has leased anything since.
    package let expiresIn: Duration
  }

  /// Jobs by what became of them since the epoch began.
  package struct Totals: Sendable, Equatable {
    package var enqueued = 0, started = 0, completed = 0, discarded = 0, cancelled = 0
    /// Put back with a delay.
    package var retried = 0
    /// Given back without one, by release or park or because a settlement did not mention them.
    package var returned = 0
    /// Taken from workers whose lease expired.
    package var reaped = 0
    /// Lanes that looked leased by nobody, which no transition leaves behind; they were given free.
    package var orphans = 0
    /// Reports under a lease that was not current; counted by report.
    package var stale = 0
    /// Calls of lease, empty ones too.
    package var leaseCalls = 0
    /// Calls of enqueue that were refused because the queue was full.
    package var refused = 0
  }

  /// Jobs a second over the last minute, or since the first lease if that is less long ago.
  package struct Rates: Sendable, Equatable {
    package var enqueued, started, settled: Double

    package init(enqueued: Double = 0, started: Double = 0, settled: Double = 0) {
      (self.enqueued, self.started, self.settled) = (enqueued, started, settled)
    }
  }

  package let epoch: Int64
  package let waiting: [JobClass: Int]
  package let kinds: [JobKind: KindDepth]
  /// Connections with waiting jobs, leased lanes or a phase, at most about `LaneQueue.longestListing`.
  package let connections: [Int64: ConnectionDepth]
  /// Waiting jobs of connections and lanes that are parked or being tried.
  package let parked: Int
  package let laneCount: Int
  package let leaseCount: Int
  /// Current leases, the next to expire first, at most `LaneQueue.longestListing`.
  package let leases: [LeaseSummary]
  package let rules: QueueRules
  package let totals: Totals
  package let rates: Rates

  package var waitingTotal: Int { waiting.values.reduce(0, +) }
  /// Jobs in leased batches.
  package var leased: Int { kinds.values.reduce(0) { $0 + $1.leased } }
  package var delayed: Int { kinds.values.reduce(0) { $0 + $1.delayed } }
  package var phases: [Int64: ConnectionPhase] { connections.compactMapValues(\.phase) }
  package var isPaused: Bool { rules.isPaused }
}

/// A lane with waiting jobs.
package struct LaneDepth: Sendable {
  package let lane: LaneID
  package let waiting: Int
  /// Who has it now.
  package let worker: String?
  /// Of the lane itself; its connection may be parked too.
  package let parkedFor: Duration?
  package let isPaused: Bool
}

/// Where a job is, and what it waits for.
package enum JobPlace: Sendable, Equatable {
  package struct Waiting: Sendable, Equatable {
    package struct Holder: Sendable, Equatable {
      package let worker: String
      package let since: Duration

      package init(worker: String, since: Duration) { (self.worker, self.since) = (worker, since) }
    }
    /// Jobs of its lane that come first.
    package var ahead: Int
    /// Who has the lane now.
    package var holder: Holder?
    package var phase: ConnectionPhase?
    package var laneParkedFor: Duration?
    package var isLanePaused: Bool
    package var isQueuePaused: Bool
    package var lanesInWork: Int
    /// How many lanes of the connection may be in work; nil for any number.
    package var mostLanes: Int?

    package init(
      ahead: Int, holder: Holder? = nil, phase: ConnectionPhase? = nil, laneParkedFor: Duration? = nil,
      isLanePaused: Bool = false, isQueuePaused: Bool = false, lanesInWork: Int = 0, mostLanes: Int? = nil
    ) {
      self.ahead = ahead
      (self.holder, self.phase, self.laneParkedFor) = (holder, phase, laneParkedFor)
      (self.isLanePaused, self.isQueuePaused) = (isLanePaused, isQueuePaused)
      (self.lanesInWork, self.mostLanes) = (lanesInWork, mostLanes)
    }
  }
  case waiting(Waiting)
  case delayed(Duration)
  case leased(worker: String, since: Duration)
  /// Not in the queue: settled, or never enqueued.
  case absent
}
