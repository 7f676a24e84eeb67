import Metadata
import Platform

/// The ledger as plain values: what `submit_jobs.sql`, `claim_jobs.sql`, `settle_jobs.sql` and `take_outbox.sql` do, one
/// transaction at a time. Times are milliseconds.
struct LedgerModel {
  struct Row {
    let id: Int64
    let lane: LaneID64
    let kind: JobKind
    var jobClass: JobClass
    let scope: JobScope
    var state = JobState.available
    var openKey: OpenKey?
    var attempt = 0
    var stalls = 0
    var scheduledAt: Int
    var fence: Fence?
    var worker: String?
    /// The last change of the desired state that it stands for.
    var version: Int

    var isFinished: Bool { state.isFinal }
  }

  /// A lane and the connection that parks it.
  struct LaneID64: Hashable {
    let lane: Int64
    let parkedBy: Int64
  }

  /// Jobs of a class and a connection.
  struct Share: Hashable {
    let jobClass: JobClass
    let parkedBy: Int64
  }

  /// Where a refill has come to.
  struct Place: Comparable {
    var lane: Int64 = 0
    var job: Int64 = 0
    static func < (left: Place, right: Place) -> Bool { (left.lane, left.job) < (right.lane, right.job) }
  }

  struct OpenKey: Hashable {
    let lane: Int64
    let kind: JobKind
    let scope: JobScope
  }

  static let maxAttempts = 12
  private(set) var rows: [Int64: Row] = [:]
  /// In ascending order.
  private(set) var unfinished: [Int64] = []
  private var open: [OpenKey: Int64] = [:]
  private var lastID: Int64 = 0
  private(set) var epoch: Int64 = 1
  private(set) var redisRunID: String?
  var isFull = false
  /// Connections of which the queue holds as many jobs as it may.
  var fullConnections: Set<Int64> = []
  /// Jobs that the queue has not been told of, each entry with its own number.
  private var outbox: [Share: [(number: Int, job: Int64)]] = [:]
  private var lastEntry = 0
  /// How far the queue has been told again of what it had forgotten; nil to the end.
  private(set) var refill: [Share: Place] = [:]
  /// What rows were before claims that a crash of the server may forget.
  private var beforeClaims: [Row] = []

  @discardableResult
  mutating func submit(
    _ kind: JobKind, _ jobClass: JobClass, _ scope: JobScope, in lane: LaneID64, version: Int, now: Int
  ) -> Int64 {
    let key = OpenKey(lane: lane.lane, kind: kind, scope: scope)
    if let id = open[key], let row = rows[id] {
      rows[id]?.version = version
      if jobClass < row.jobClass {
        rows[id]?.jobClass = jobClass
        tell(id, Share(jobClass: jobClass, parkedBy: lane.parkedBy))
      }
      return id
    }
    lastID += 1
    rows[lastID] = Row(
      id: lastID, lane: lane, kind: kind, jobClass: jobClass, scope: scope, openKey: key, scheduledAt: now,
      version: version)
    open[key] = lastID
    unfinished.append(lastID)
    tell(lastID, Share(jobClass: jobClass, parkedBy: lane.parkedBy))
    return lastID
  }

  private mutating func tell(_ job: Int64, _ share: Share) {
    lastEntry += 1
    outbox[share, default: []].append((lastEntry, job))
  }

  private mutating func change(_ id: Int64, _ body: (inout Row) -> Void) {
    guard var row = rows[id] else { return }
    body(&row)
    if let key = rows[id]?.openKey { open[key] = nil }
    if let key = row.openKey { open[key] = id }
    if row.isFinished, rows[id]?.isFinished == false { unfinished.removeAll { $0 == id } }
    if !row.isFinished, rows[id]?.isFinished == true {
      unfinished.append(id)
      unfinished.sort()
    }
    rows[id] = row
  }
}

extension LedgerModel {
  mutating func claim(_ ids: [Int64], _ fence: Fence, worker: String, busy: Set<Int64>, now: Int) -> Claim {
    func isLater(_ row: Row) -> Bool { row.state == .running && (row.fence ?? fence) > fence }
    func isNewer(_ row: Row) -> Bool {
      guard let last = row.fence, last >= fence else { return true }
      return last == fence && (row.worker == nil || row.state == .running && row.worker == worker)
    }
    func isEarly(_ row: Row) -> Bool { row.state != .running && row.scheduledAt > now + 50 }
    func hasStalled(_ row: Row) -> Bool {
      guard row.state == .running, let old = row.fence else { return false }
      return old.epoch == fence.epoch && old.sequence < fence.sequence
    }
    var claim = Claim()
    let picked = ids.sorted().compactMap { rows[$0] }.filter { row in
      fence.epoch >= epoch && isNewer(row) && !row.isFinished && !busy.contains(row.id) && !isLater(row)
        && !isEarly(row)
    }
    let suspect = picked.first { hasStalled($0) && $0.stalls >= 1 }
    let due = Set((suspect.map { [$0] } ?? picked).map(\.id))
    for id in ids.sorted() {
      guard let row = rows[id], !row.isFinished, !isLater(row) else {
        claim.finished.append(id)
        continue
      }
      if fence.epoch < epoch {
        claim.busy.append(id)
        claim.isOutdated = true
      } else if due.contains(id) {
        beforeClaims.append(row)
        take(row, fence, worker, hasStalled(row), &claim)
      } else if isEarly(row) {
        claim.early[id] = .milliseconds(max(0, row.scheduledAt - now))
      } else {
        claim.busy.append(id)
      }
    }
    if !claim.poisoned.isEmpty { flush() }
    return claim
  }

  private mutating func take(
    _ row: Row, _ fence: Fence, _ worker: String, _ hasStalled: Bool, _ claim: inout Claim
  ) {
    let stalls = row.stalls + (hasStalled ? 1 : 0)
    change(row.id) { row in
      row.stalls = stalls
      row.openKey = nil
      if stalls >= MetadataSession.stallLimit {
        row.state = .discarded
      } else {
        row.state = .running
        (row.fence, row.worker) = (fence, worker)
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

  mutating func release(_ ids: [Int64], _ fence: Fence, now: Int) {
    for id in ids where rows[id]?.state == .running && rows[id]?.fence == fence {
      change(id) { ($0.state, $0.scheduledAt, $0.worker) = (.available, now, nil) }
    }
  }

  /// Everything until now is on the disk: no crash can forget it.
  mutating func flush() { beforeClaims = [] }

  mutating func crash() {
    for row in beforeClaims.reversed() { change(row.id) { $0 = row } }
    beforeClaims = []
  }

  /// Classes of jobs that the queue has not been told of.
  var outboxClasses: Set<JobClass> { Set(outbox.filter { !$0.value.isEmpty }.keys.map(\.jobClass)) }
  var refillClasses: Set<JobClass> { Set(refill.keys.map(\.jobClass)) }

  /// True if the queue has yet to be told of this job.
  func isInOutbox(_ row: Row) -> Bool {
    let share = Share(jobClass: row.jobClass, parkedBy: row.lane.parkedBy)
    if outbox[share]?.contains(where: { $0.job == row.id }) == true { return true }
    return refill[share].map { $0 < Place(lane: row.lane.lane, job: row.id) } ?? false
  }

  /// What is taken out of the outbox, and how it looks without it, once the transaction commits.
  struct Taken: Sendable {
    var jobs: [OutboxJob] = []
    var round = OutboxRound()
    fileprivate var epoch: Int64
    fileprivate var entries: Set<Int> = []
    /// Where refills have come to; nil to the end.
    fileprivate var places: [Share: Place?] = [:]
  }

  /// What the next connections of a round share evenly.
  private struct Turns {
    let shares: [Share]
    let limit: Int
    let next: Int64?

    init(_ jobClass: JobClass, among all: [Share], after: Int64?, without: Set<Int64>, limit whole: Int) {
      let mine = all.filter { $0.jobClass == jobClass && $0.parkedBy > after ?? -1 && !without.contains($0.parkedBy) }
      shares = Array(mine.sorted { $0.parkedBy < $1.parkedBy }.prefix(MetadataSession.outboxTurns))
      limit = max(1, whole / max(1, shares.count))
      next = shares.count == MetadataSession.outboxTurns ? shares.last?.parkedBy : nil
    }
  }

  func takeOutbox(
    _ jobClass: JobClass, epoch asked: Int64, round: OutboxRound, limit: Int, without: Set<Int64>, now: Int
  ) -> Taken {
    var taken = Taken(epoch: epoch)
    guard asked == epoch else { return taken }
    let open = outbox.filter { !$0.value.isEmpty }.map(\.key)
    let turns = Turns(jobClass, among: open, after: round.outbox, without: without, limit: limit)
    taken.round.outbox = turns.next
    taken.round.hasMore = round.outbox != nil || turns.next != nil
    for share in turns.shares {
      let entries = (outbox[share] ?? []).prefix(turns.limit)
      taken.entries.formUnion(entries.map(\.number))
      taken.jobs += entries.compactMap { rows[$0.job] }.map { outboxJob($0, delay: 0) }
      if entries.count == turns.limit { taken.round.hasMore = true }
    }
    takeRefill(jobClass, round, limit, without, now, &taken)
    return taken
  }

  private func takeRefill(
    _ jobClass: JobClass, _ round: OutboxRound, _ limit: Int, _ without: Set<Int64>, _ now: Int, _ taken: inout Taken
  ) {
    let turns = Turns(jobClass, among: Array(refill.keys), after: round.refill, without: without, limit: limit)
    taken.round.refill = turns.next
    if round.refill != nil || turns.next != nil { taken.round.hasMore = true }
    for share in turns.shares {
      let rest = unfinished.compactMap { rows[$0] }.filter {
        $0.jobClass == jobClass && $0.lane.parkedBy == share.parkedBy
          && refill[share] ?? Place() < Place(lane: $0.lane.lane, job: $0.id)
      }
      let page = rest.sorted { ($0.lane.lane, $0.id) < ($1.lane.lane, $1.id) }.prefix(turns.limit)
      taken.jobs += page.map { outboxJob($0, delay: max(0, $0.scheduledAt - now)) }
      let isWhole = page.count == turns.limit
      taken.places[share] = .some(isWhole ? page.last.map { Place(lane: $0.lane.lane, job: $0.id) } : nil)
      if isWhole { taken.round.hasMore = true }
    }
  }

  private func outboxJob(_ row: Row, delay: Int) -> OutboxJob {
    OutboxJob(
      id: row.id, lane: row.lane.lane, parkedBy: row.lane.parkedBy, jobClass: row.jobClass, kind: row.kind,
      delay: delay > 0 ? .milliseconds(delay) : nil)
  }

  mutating func commit(_ taken: Taken) {
    for share in Array(outbox.keys) { outbox[share]?.removeAll { taken.entries.contains($0.number) } }
    // A refill of another epoch has begun meanwhile at the first job.
    guard taken.epoch == epoch else { return }
    for (share, place) in taken.places { refill[share] = place }
  }

  /// A dead letter runs again as if new.
  mutating func retry(_ id: Int64, now: Int) {
    guard let row = rows[id], row.state == .discarded else { return }
    let key = OpenKey(lane: row.lane.lane, kind: row.kind, scope: row.scope)
    if open[key] != nil {
      // One that has not started runs for it.
      change(id) { $0.state = .cancelled }
      return
    }
    change(id) { row in
      (row.state, row.attempt, row.stalls, row.scheduledAt) = (.available, 0, 0, now)
      row.openKey = key
    }
    tell(id, Share(jobClass: row.jobClass, parkedBy: row.lane.parkedBy))
  }

  mutating func raiseEpoch(known: Int64, claimed: Int64?, redisRunID run: String?) -> Int64? {
    guard epoch == known else { return nil }
    epoch = max(epoch, claimed ?? 0) + 1
    (redisRunID, isFull, fullConnections) = (run, false, [])
    for parkedBy in Set(rows.values.map(\.lane.parkedBy)) {
      for jobClass in JobClass.allCases { refill[Share(jobClass: jobClass, parkedBy: parkedBy)] = Place() }
    }
    return epoch
  }
}
