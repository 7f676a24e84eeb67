import Metadata
import Platform

/// The job ledger as plain values: what the statements must do, one transaction after another.
struct LedgerModel {
  struct Key: Hashable {
    let lane: Int64
    let kind: JobKind
    let role: String
  }

  struct Row: Equatable {
    let id: Int64
    let key: Key
    var state = JobState.available
    var isDue = true
    var isOpen = true
    var attempt = 0
    var stalls = 0
    var coalesced = 0
    var fence: Fence?
    var worker: String?
    /// Outcomes of the attempts that the ledger must tell of.
    var attempts: [String] = []
  }

  static let maxAttempts = 3
  var rows: [Int64: Row] = [:]
  var epoch: Int64 = 1
  /// Jobs that Redis was told of in this epoch.
  var told: Set<Int64> = []
  /// Rows that a producer's open transaction holds.
  var held: Set<Int64> = []

  func open(_ key: Key) -> Row? { rows.values.first { $0.isOpen && $0.key == key } }
  var unfinished: [Row] { rows.values.filter { !$0.state.isFinal } }
}

// A worker's.
extension LedgerModel {
  struct Fates: Equatable {
    var claimed: [Int64] = []
    var poisoned: [Int64] = []
    var finished: [Int64] = []
    var early: [Int64] = []
    var busy: [Int64] = []
  }

  mutating func claim(_ numbers: [Int64], _ fence: Fence, worker: String) -> Fates {
    let picked = numbers.compactMap { rows[$0] }.filter { row in
      !held.contains(row.id) && fence.epoch >= epoch && isClaimable(row, fence, worker)
    }
    let suspect = picked.filter { hasStalled($0, fence) && $0.stalls >= 1 }.map(\.id).min()
    var fates = Fates()
    for id in numbers.sorted() {
      if let row = picked.first(where: { $0.id == id }), suspect == nil || suspect == id {
        start(row, fence, worker, &fates)
      } else {
        pass(id, fence, &fates)
      }
    }
    return fates
  }

  private func isClaimable(_ row: Row, _ fence: Fence, _ worker: String) -> Bool {
    if let last = row.fence, last > fence { return false }
    if row.fence == fence, let last = row.worker, row.state != .running || last != worker { return false }
    return switch row.state {
    case .available, .scheduled, .retryable: row.isDue
    case .running: true
    case .completed, .discarded, .cancelled: false
    }
  }

  private func hasStalled(_ row: Row, _ fence: Fence) -> Bool {
    row.state == .running && row.fence.map { $0.epoch == fence.epoch && $0 < fence } == true
  }

  private mutating func start(_ row: Row, _ fence: Fence, _ worker: String, _ fates: inout Fates) {
    var row = row
    if hasStalled(row, fence) {
      row.stalls += 1
      row.attempts.append("stalled")
    }
    row.isOpen = false
    if row.stalls >= MetadataSession.stallLimit {
      row.state = .discarded
      fates.poisoned.append(row.id)
    } else {
      (row.state, row.fence, row.worker) = (.running, fence, worker)
      fates.claimed.append(row.id)
    }
    rows[row.id] = row
  }

  private func pass(_ id: Int64, _ fence: Fence, _ fates: inout Fates) {
    guard let row = rows[id], !row.state.isFinal else { return fates.finished.append(id) }
    if row.state == .running, let other = row.fence, other > fence { return fates.finished.append(id) }
    if fence.epoch >= epoch && row.state != .running && !row.isDue { return fates.early.append(id) }
    fates.busy.append(id)
  }

  mutating func settle(_ outcomes: [Int64: JobResult.Outcome], _ fence: Fence) -> [Int64: JobState] {
    var states: [Int64: JobState] = [:]
    let before = rows
    for (id, outcome) in outcomes {
      guard var row = rows[id], row.state == .running, row.fence == fence else { continue }
      switch outcome {
      case .completed: row.state = .completed
      case .discarded: row.state = .discarded
      case .cancelled: row.state = .cancelled
      case .retryable(let delay), .snoozed(let delay):
        (row.state, row.stalls, row.isDue) = (.retryable, 0, delay == .zero)
        if case .snoozed = outcome { row.state = .scheduled }
      }
      row.attempts.append(outcome.name)
      if row.state != .scheduled { row.attempt += 1 }
      if row.state == .retryable && row.attempt >= Self.maxAttempts { row.state = .discarded }
      states[id] = row.state
      rows[id] = row
      if row.state == .completed { close(row.key, before) }
    }
    return states
  }

  /// What was dead before, and has been done now.
  private mutating func close(_ key: Key, _ before: [Int64: Row]) {
    for row in before.values where row.key == key && row.state == .discarded { rows[row.id]?.state = .cancelled }
  }

  mutating func release(_ numbers: [Int64], _ fence: Fence) {
    for id in numbers where rows[id]?.state == .running && rows[id]?.fence == fence {
      rows[id]?.state = .available
      rows[id]?.isDue = true
      rows[id]?.worker = nil
    }
  }
}

// A producer's and an operator's.
extension LedgerModel {
  /// A request and the job that it led to.
  mutating func submitted(_ key: Key, as job: SubmittedJob) {
    if job.isNew { rows[job.id] = Row(id: job.id, key: key) } else { rows[job.id]?.coalesced += 1 }
  }

  mutating func cancel(_ id: Int64) {
    rows[id]?.state = .cancelled
    rows[id]?.isOpen = false
  }

  /// The jobs that run for the retried ones.
  mutating func retry(_ numbers: [Int64]) -> [Int64: Int64] {
    var runs: [Int64: Int64] = [:]
    for id in numbers.sorted() {
      guard let row = rows[id] else { continue }
      if let other = open(row.key) {
        rows[id]?.state = .cancelled
        rows[other.id]?.coalesced += 1
        runs[id] = other.id
      } else {
        rows[id] = Row(id: id, key: row.key, coalesced: row.coalesced, fence: row.fence, attempts: row.attempts)
        told.remove(id)
        runs[id] = id
      }
    }
    return runs
  }
}
