import Metadata
import Platform

/// The ledger as plain values: what `submit_jobs.sql`, `claim_jobs.sql`, `settle_jobs.sql` and `take_outbox.sql` do, one
/// transaction at a time. Times are milliseconds.
struct LedgerModel {
  struct Row {
    let id: Int64
    let lane: LaneID64
    let kind: JobKind
    let jobClass: JobClass
    let scope: JobScope
    var state = JobState.available
    var openKey: OpenKey?
    var attempt = 0
    var stalls = 0
    var enqueuedEpoch: Int64 = 0
    var scheduledAt: Int
    var fence: Fence?
    /// The last change of the desired state that it stands for.
    var version: Int

    var isFinished: Bool { state.isFinal }
  }

  /// A lane and the connection that parks it.
  struct LaneID64: Hashable {
    let lane: Int64
    let parkedBy: Int64
  }

  struct OpenKey: Hashable {
    let lane: Int64
    let kind: JobKind
    let jobClass: JobClass
    let scope: JobScope
  }

  static let maxAttempts = 12
  private(set) var rows: [Int64: Row] = [:]
  /// In ascending order.
  private(set) var unfinished: [Int64] = []
  private var open: [OpenKey: Int64] = [:]
  private var lastID: Int64 = 0
  var epoch: Int64 = 1
  var redisRunID: String?

  @discardableResult
  mutating func submit(
    _ kind: JobKind, _ jobClass: JobClass, _ scope: JobScope, in lane: LaneID64, version: Int, now: Int
  ) -> Int64 {
    let key = OpenKey(lane: lane.lane, kind: kind, jobClass: jobClass, scope: scope)
    if let id = open[key] {
      rows[id]?.version = version
      return id
    }
    lastID += 1
    rows[lastID] = Row(
      id: lastID, lane: lane, kind: kind, jobClass: jobClass, scope: scope, openKey: key, scheduledAt: now,
      version: version)
    open[key] = lastID
    unfinished.append(lastID)
    return lastID
  }

  private mutating func change(_ id: Int64, _ body: (inout Row) -> Void) {
    guard var row = rows[id] else { return }
    body(&row)
    if row.openKey == nil, let key = rows[id]?.openKey { open[key] = nil }
    if row.isFinished, rows[id]?.isFinished == false { unfinished.removeAll { $0 == id } }
    if !row.isFinished, rows[id]?.isFinished == true {
      unfinished.append(id)
      unfinished.sort()
    }
    rows[id] = row
  }
}

extension LedgerModel {
  mutating func claim(_ ids: [Int64], _ fence: Fence, busy: Set<Int64>, now: Int) -> Claim {
    var claim = Claim()
    let locked = ids.sorted().compactMap { rows[$0] }.filter { row in
      fence.epoch >= epoch && !row.isFinished && !busy.contains(row.id)
        && (row.state != .running || (row.fence ?? fence) <= fence)
    }
    func hasStalled(_ row: Row) -> Bool {
      guard row.state == .running, let old = row.fence else { return false }
      return old.epoch == fence.epoch && old.sequence < fence.sequence
    }
    let suspect = locked.first { hasStalled($0) && $0.stalls >= 1 }?.id
    let due = Set(
      locked.filter { ($0.state == .running || $0.scheduledAt <= now + 50) && (suspect == nil || $0.id == suspect) }
        .map(\.id))
    let lockedIDs = Set(locked.map(\.id))
    for id in ids.sorted() {
      guard let row = rows[id], !row.isFinished else {
        claim.finished.append(id)
        continue
      }
      if due.contains(id) {
        take(row, fence, hasStalled(row), &claim)
      } else if lockedIDs.contains(id) {
        claim.early[id] = .milliseconds(max(0, row.scheduledAt - now))
      } else if row.state == .running, let other = row.fence, other > fence {
        claim.finished.append(id)
      } else {
        claim.busy.append(id)
      }
    }
    return claim
  }

  private mutating func take(_ row: Row, _ fence: Fence, _ hasStalled: Bool, _ claim: inout Claim) {
    let stalls = row.stalls + (hasStalled ? 1 : 0)
    change(row.id) { row in
      row.stalls = stalls
      row.openKey = nil
      if stalls >= MetadataSession.stallLimit {
        row.state = .discarded
      } else {
        row.state = .running
        row.fence = fence
      }
    }
    if stalls >= MetadataSession.stallLimit {
      claim.poisoned.append(row.id)
    } else {
      claim.claimed.append(
        ClaimedJob(
          id: row.id, kind: row.kind, jobClass: row.jobClass, scope: row.scope, attempt: row.attempt,
          maxAttempts: Self.maxAttempts))
    }
  }

  mutating func settle(_ results: [JobResult], _ fence: Fence, ignoresFences: Bool, now: Int) -> [Int64: JobState] {
    var accepted: [Int64: JobState] = [:]
    for result in results {
      guard let row = rows[result.id], row.state == .running, row.fence == fence || ignoresFences else { continue }
      change(result.id) { row in
        switch result.outcome {
        case .completed: row.state = .completed
        case .discarded: row.state = .discarded
        case .cancelled: row.state = .cancelled
        case .retryable(let delay):
          (row.state, row.stalls, row.scheduledAt) = (.retryable, 0, now + delay.wholeMilliseconds)
        case .snoozed(let delay):
          (row.state, row.stalls, row.scheduledAt) = (.scheduled, 0, now + delay.wholeMilliseconds)
        }
        if row.state != .scheduled { row.attempt += 1 }
        accepted[row.id] = row.state
      }
    }
    return accepted
  }

  mutating func release(_ ids: [Int64], _ fence: Fence) {
    for id in ids where rows[id]?.state == .running && rows[id]?.fence == fence { change(id) { $0.state = .available } }
  }

  /// Classes of jobs that the queue has not been told of.
  var outboxClasses: [JobClass] {
    Set(unfinished.compactMap { rows[$0] }.filter { $0.enqueuedEpoch < epoch }.map(\.jobClass)).sorted()
  }

  /// Jobs with what the ledger said when they were read: the epoch in which the queue was told of them last.
  func outbox(_ jobClass: JobClass, limit: Int, now: Int) -> [(job: OutboxJob, enqueuedEpoch: Int64)] {
    unfinished.compactMap { rows[$0] }.filter { $0.jobClass == jobClass && $0.enqueuedEpoch < epoch }.sorted {
      ($0.enqueuedEpoch, $0.id) < ($1.enqueuedEpoch, $1.id)
    }.prefix(limit).map { row in
      let delay = max(0, row.scheduledAt - now)
      let job = OutboxJob(
        id: row.id, lane: row.lane.lane, parkedBy: row.lane.parkedBy, jobClass: row.jobClass, kind: row.kind,
        delay: delay > 0 ? .milliseconds(delay) : nil)
      return (job, row.enqueuedEpoch)
    }
  }

  /// A job that ended and was retried since it was read may have left the queue: it stays in the outbox.
  mutating func markEnqueued(_ jobs: [(job: OutboxJob, enqueuedEpoch: Int64)], epoch: Int64) {
    for (job, enqueuedEpoch) in jobs where rows[job.id]?.enqueuedEpoch == enqueuedEpoch {
      change(job.id) { $0.enqueuedEpoch = epoch }
    }
  }

  /// A dead letter runs again as if new.
  mutating func retry(_ id: Int64, now: Int) {
    change(id) { row in
      guard row.state == .discarded else { return }
      (row.state, row.attempt, row.stalls, row.scheduledAt) = (.available, 0, 0, now)
      row.enqueuedEpoch = min(row.enqueuedEpoch, 0) - 1
    }
  }

  mutating func raiseEpoch(known: Int64, claimed: Int64?, redisRunID run: String?) -> Int64? {
    guard epoch == known else { return nil }
    epoch = max(epoch, claimed ?? 0) + 1
    redisRunID = run
    return epoch
  }
}
