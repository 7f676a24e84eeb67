import Foundation
import JobQueue
import Metadata
import Redis

/// Why a job is not running: from the ledger, and from the queue where that knows more.
struct JobWhereabouts: Sendable {
  let settings: Settings
  let metadata: MetadataDatabase

  /// Empty for a job that runs or has finished.
  func reasons(for job: Job) async throws -> [WaitReason] {
    if job.state.isFinal || job.state == .running { return [] }
    let (target, rules) = try await metadata.read {
      (try await $0.connection(id: job.lane.connection), try await $0.queueRules())
    }
    var reasons: [WaitReason] = []
    if target.state != .active && job.lane.kind != .governance {
      reasons.append(
        .connection(target.name, target.state, since: target.stateSince, reason: target.stateReason))
    }
    return reasons
      + (job.isEnqueued
        ? try await inQueue(job, rules, trouble: reasons.isEmpty ? target.stateReason : nil)
        : try await notEnqueued(job, rules))
  }

  /// How far a job is that runs for long; nil if it does not say, or Redis does not.
  func progress(of job: Job) async throws -> String? {
    guard job.state == .running, settings[.redisURL] != nil else { return nil }
    do {
      return try await settings.withQueue { try await $0.workers() }
        .first { $0.beat.name == job.worker }?.beat.progress?["\(job.id)"]
    } catch  where error is JobQueueError || error is RedisError { return nil }
  }

  /// How long a wait is held up to say what it waits for.
  private static let briefly: Duration = .seconds(2)

  /// What a job waits for, for somebody who waits for it too: words that change with it, and a sentence. Nil for one
  /// that has finished, or if it cannot be found out in a moment.
  func briefly(of id: Int64) async throws -> (codes: [String], text: String)? {
    let job = try await metadata.read { try await $0.job(id: id) }
    do {
      let found = try await within(Self.briefly, "looking for job \(id)") { try await reasons(for: job) }
      guard let text = Self.text(of: found, for: job) else { return nil }
      return (["\(id)", job.state.rawValue] + found.map(\.code), text)
    } catch is CommandFailure { return nil }
  }

  /// `why` for people; nil once the job has finished.
  static func text(of reasons: [WaitReason], for job: Job) -> String? {
    if job.state.isFinal { return nil }
    if job.state == .running { return "it runs on \(job.worker ?? "a worker") since \(job.startedAt ?? "a moment")" }
    let now = Date()
    return reasons.map { $0.text(at: now) }.joined(separator: "; ")
  }

  /// A pause holds a job that Redis does not know as well as any other.
  private func notEnqueued(_ job: Job, _ rules: StoredQueueRules) async throws -> [WaitReason] {
    let (hasLeader, isFull) = try await metadata.read { session in
      let hasRoom = try await session.hasRoom(for: [job.lane.id])
      return (try await session.serverFacts().hasLeader, job.jobClass != .revoke && !hasRoom)
    }
    return [
      rules.pause.map { .queuePaused($0) }, rules.lanes[job.lane.id]?.pause.map { .lanePaused($0) },
      .notEnqueued(hasLeader: hasLeader, isFull: isFull),
    ].compactMap(\.self)
  }

  private func inQueue(_ job: Job, _ rules: StoredQueueRules, trouble: String?) async throws -> [WaitReason] {
    guard settings[.redisURL] != nil else { return [.unknown("give --redis-url to see it")] }
    let queued = job.queued
    do {
      let (place, leases) = try await settings.withQueue { queue in
        (try await queue.place(of: queued), try await queue.stats().leases)
      }
      let others = Self.probing(place).map { [$0.lane] } ?? []
      let names = try await metadata.read { try await $0.laneNames(others) }
      return WaitReason.reasons(
        of: place, attempt: job.attempt + 1, lane: queued.lane, rules: rules, trouble: trouble, leases: leases,
        laneName: { names[$0.lane] ?? "\($0.lane)" })
    } catch let error where error is JobQueueError || error is RedisError {
      return [.unknown(Ending.message(of: error))]
    }
  }

  private static func probing(_ place: JobPlace) -> LaneID? {
    guard case .waiting(let waiting) = place, case .probing(let lane) = waiting.phase else { return nil }
    return lane
  }
}
