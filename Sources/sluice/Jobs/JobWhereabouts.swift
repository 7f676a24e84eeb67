import JobQueue
import Metadata

/// Why a job is not running: from the ledger, and from the queue where that knows more.
struct JobWhereabouts {
  let settings: Settings

  /// Nil once the job has finished.
  func reason(for job: Job, on metadata: MetadataDatabase) async throws -> String? {
    if job.state.isFinal { return nil }
    if job.state == .running { return "it runs on \(job.worker ?? "a worker") since \(job.startedAt ?? "a moment")" }
    let target = try await metadata.read { try await $0.connection(id: job.lane.connection) }
    var reasons: [String] = []
    if target.state != .active && job.lane.kind != .governance {
      reasons.append(
        "connection \(target.name) is \(target.state.rawValue) since \(target.stateSince)"
          + (target.stateReason.map { " (\($0))" } ?? ""))
    }
    if !job.isEnqueued {
      reasons.append("Redis has not been told of it: a scheduler does that; see that one runs")
    } else if settings[.redisURL] == nil {
      reasons.append("give --redis-url to see where it is in the queue")
    } else {
      reasons.append(try await place(of: job))
    }
    return reasons.joined(separator: "; ")
  }

  private func place(of job: Job) async throws -> String {
    do {
      return describe(try await settings.withQueue { try await $0.place(of: job.queued) }, job)
    } catch let error as JobQueueError where error.code == .unavailable || error.code == .epochLost {
      return error.message
    }
  }

  private func describe(_ place: JobPlace, _ job: Job) -> String {
    switch place {
    case .absent: "Redis does not have it: a scheduler enqueues it again"
    case .delayed(let rest): "it is tried again in \(DurationText.rounded(rest)), attempt \(job.attempt + 1)"
    case .leased(let worker, let since):
      "its batch was leased by \(worker) \(DurationText.rounded(since)) ago"
    case .waiting(let waiting): describe(waiting)
    }
  }

  private func describe(_ waiting: JobPlace.Waiting) -> String {
    let atCap = waiting.mostLanes.map { waiting.lanesInWork >= $0 } ?? false
    return [
      waiting.isQueuePaused ? "the queue is paused" : nil, waiting.isLanePaused ? "its lane is paused" : nil,
      waiting.phase.map(describe),
      waiting.laneParkedFor.map { "its lane is parked and tried again in \(DurationText.rounded($0))" },
      waiting.holder.map { "its lane is busy with \($0.worker) since \(DurationText.rounded($0.since))" },
      atCap ? "\(waiting.lanesInWork) lanes of its connection are in work, as many as may" : nil,
      "\(waiting.ahead) jobs of its lane come first",
    ].compactMap(\.self).joined(separator: "; ")
  }

  private func describe(_ phase: ConnectionPhase) -> String {
    switch phase {
    case .parked(.some(let rest)): "its connection is parked and tried again in \(DurationText.rounded(rest))"
    case .parked(nil): "its connection is parked and about to be tried again"
    case .halfOpen: "its connection is tried with the next batch"
    case .probing: "its connection is being tried with another batch"
    }
  }
}
