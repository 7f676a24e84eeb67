import Foundation
import JobQueue
import Metadata
import Platform

/// One thing that keeps a job from running now.
enum WaitReason: Sendable, Equatable {
  /// The job's connection is not active; its number, when, and why.
  case connection(String, Connection.State, since: String, reason: String?)
  /// Redis has not been told of the job.
  case notEnqueued(hasLeader: Bool, isFull: Bool)
  /// Redis has forgotten the job.
  case absent
  /// What the queue knows cannot be said; the rest stands.
  case unknown(String)
  case delayed(Duration, attempt: Int)
  case leased(worker: String, since: Duration)
  case queuePaused(StoredQueueRules.Pause?)
  case lanePaused(StoredQueueRules.Pause?)
  /// Until it is tried, and what was wrong, where that is known.
  case connectionParked(Duration?, reason: String?)
  /// Its connection is tried with one batch, before the rest follows; this lane's if nil.
  case connectionTried(lane: String?)
  case laneParked(Duration)
  case laneBusy(worker: String, since: Duration, jobs: Int?)
  case connectionFull(inWork: Int, most: Int)
  /// Its place in its lane, from 1.
  case turn(Int)

  /// The word that scripts look for; part of the contract.
  var code: String {
    switch self {
    case .connection: "connection_state"
    case .notEnqueued: "not_enqueued"
    case .absent: "absent"
    case .unknown: "unknown"
    case .delayed: "delayed"
    case .leased: "leased"
    case .queuePaused: "queue_paused"
    case .lanePaused: "lane_paused"
    case .connectionParked: "connection_parked"
    case .connectionTried: "connection_tried"
    case .laneParked: "lane_parked"
    case .laneBusy: "lane_busy"
    case .connectionFull: "connection_full"
    case .turn: "turn"
    }
  }

  func text(at now: Date) -> String {
    switch self {
    case .connection(let name, let state, let since, let reason):
      "connection \(name) is \(state.rawValue) since \(since)" + (reason.map { " (\($0))" } ?? "")
    case .notEnqueued(let hasLeader, let isFull): Self.notEnqueued(hasLeader: hasLeader, isFull: isFull)
    case .absent: "Redis does not have it: a scheduler enqueues it again once Redis is found without its memory"
    case .unknown(let reason): "where it is in the queue cannot be said: \(reason)"
    case .delayed(let rest, let attempt): "it is tried again \(Self.until(rest, now)), attempt \(attempt)"
    case .leased(let worker, let since): "its batch was leased by \(worker) \(DurationText.rounded(since)) ago"
    case .queuePaused(let pause): "the queue is paused" + Self.words(pause)
    case .lanePaused(let pause): "its lane is paused" + Self.words(pause)
    case .connectionParked(let rest, let reason):
      "its connection is parked and tried again " + (rest.map { Self.until($0, now) } ?? "at any moment")
        + (reason.map { " (\($0))" } ?? "")
    case .connectionTried(nil): "its connection is tried with the next batch, before the rest follows"
    case .connectionTried(let lane?): "its connection is being tried with a batch of lane \(lane)"
    case .laneParked(let rest): "its lane is parked and tried again \(Self.until(rest, now))"
    case .laneBusy(let worker, let since, let jobs):
      "its lane is busy with \(jobs.map { Counted.text($0, "job") + " on " } ?? "")\(worker) for \(DurationText.rounded(since))"
    case .connectionFull(let inWork, let most):
      Counted.text(inWork, "lane")
        + " of its connection \(inWork == 1 ? "is" : "are") in work, and \(most) may be: see sluice queue tune"
    case .turn(let place):
      place == 1
        ? "it is the next of its lane"
        : Counted.text(place - 1, "job") + " of its lane \(place == 2 ? "comes" : "come") first"
    }
  }

  private static func notEnqueued(hasLeader: Bool, isFull: Bool) -> String {
    if !hasLeader { return "Redis has not been told of it, and no scheduler leads: start one with sluice scheduler" }
    return isFull
      ? "Redis has not been told of it: as many jobs wait there as may, and it follows when there is room"
      : "Redis has not been told of it: a scheduler does that in a moment"
  }

  private static func until(_ rest: Duration, _ now: Date) -> String {
    let instant = now.addingTimeInterval(rest.inSeconds)
    // Rounded up: what is still to come is not in 0s.
    let seconds = Int64(rest.inSeconds.rounded(.up))
    return "in \(DurationText.rounded(.seconds(max(1, seconds)))), at \(instant.ISO8601Format())"
  }

  private static func words(_ pause: StoredQueueRules.Pause?) -> String {
    pause.map { " since \($0.since) by \($0.by)" } ?? ""
  }
}

extension WaitReason {
  /// What the queue says of a job.
  ///
  /// - Parameters:
  ///   - attempt: that follows when it is tried again.
  ///   - rules: who paused what, where that is known.
  ///   - trouble: why its connection is parked, where nothing else tells.
  static func reasons(
    of place: JobPlace, attempt: Int, lane: LaneID, rules: StoredQueueRules?, trouble: String? = nil,
    leases: [QueueStats.LeaseSummary] = [], laneName: (LaneID) -> String
  ) -> [WaitReason] {
    switch place {
    case .absent: return [.absent]
    case .delayed(let rest): return [.delayed(rest, attempt: attempt)]
    case .leased(let worker, let since): return [.leased(worker: worker, since: since)]
    case .waiting(let waiting):
      let isFull = waiting.mostLanes.map { waiting.lanesInWork >= $0 } ?? false
      return [
        waiting.isQueuePaused ? .queuePaused(rules?.pause) : nil,
        waiting.isLanePaused ? .lanePaused(rules?.lanes[lane.lane]?.pause) : nil,
        waiting.phase.map { reason(of: $0, lane, trouble, laneName) }, waiting.laneParkedFor.map(WaitReason.laneParked),
        waiting.holder.map { holder in
          .laneBusy(worker: holder.worker, since: holder.since, jobs: leases.first { $0.lane == lane }?.jobs)
        },
        isFull ? .connectionFull(inWork: waiting.lanesInWork, most: waiting.mostLanes ?? 0) : nil,
        .turn(waiting.ahead + 1),
      ].compactMap(\.self)
    }
  }

  private static func reason(
    of phase: ConnectionPhase, _ lane: LaneID, _ trouble: String?, _ laneName: (LaneID) -> String
  ) -> WaitReason {
    switch phase {
    case .parked(let rest): .connectionParked(rest, reason: trouble)
    case .halfOpen: .connectionTried(lane: nil)
    case .probing(let other): .connectionTried(lane: laneName(other))
    }
  }
}
