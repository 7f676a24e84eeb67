import JobQueue
import Platform

/// The queue as plain values: what each call should do, written without Redis. One clock, no concurrency.
struct QueueModel {
  struct Job: Hashable, Comparable {
    let lane: LaneID
    let jobClass: JobClass
    let number: Int64

    init(_ job: QueuedJob) { (lane, jobClass, number) = (job.lane, job.jobClass, job.number) }

    var member: String { "\(lane)" + text }
    var text: String { "\(jobClass.rawValue)" + String(repeating: "0", count: 15 - "\(number)".count) + "\(number)" }
    static func < (left: Job, right: Job) -> Bool { left.member < right.member }
  }

  struct Held {
    let fence: Fence
    let worker: String
    let jobs: [Job]
    var expires: Int
    /// Offered again while they were leased.
    var again: Set<Job> = []
  }

  enum Phase: Equatable { case parked(until: Int), half, probing(LaneID) }

  let ttl: Int
  var now = 1_000_000
  var epoch: Int64 = 1
  var sequence: Int64 = 0
  var waiting: Set<Job> = []
  var delayed: [Job: Int] = [:]
  var leases: [LaneID: Held] = [:]
  var phases: [Int64: Phase] = [:]
  var pausedLanes: Set<LaneID> = []
  var isPaused = false
  var totals: [String: Int] = [:]

  init(ttl: Int) { self.ttl = ttl }
}

extension QueueModel {
  mutating func establish(_ epoch: Int64) {
    var fresh = QueueModel(ttl: ttl)
    (fresh.now, fresh.epoch, fresh.pausedLanes, fresh.isPaused) = (now, epoch, pausedLanes, isPaused)
    self = fresh
  }

  mutating func enqueue(_ jobs: [QueuedJob]) -> Int {
    var added = 0
    for queued in jobs {
      let job = Job(queued)
      if leases[job.lane]?.jobs.contains(job) == true {
        leases[job.lane]?.again.insert(job)
        continue
      }
      if waiting.contains(job) || delayed[job] != nil { continue }
      if let delay = queued.delay?.wholeMilliseconds, delay > 0 {
        delayed[job] = now + delay
      } else {
        waiting.insert(job)
      }
      added += 1
    }
    return added
  }

  mutating func remove(_ job: Job) -> Bool { waiting.remove(job) != nil || delayed.removeValue(forKey: job) != nil }

  /// True if this is the lane's lease; a wrong one is counted.
  mutating func isCurrent(_ lease: Lease) -> Bool {
    if leases[lease.lane]?.fence == lease.fence { return true }
    totals["stale", default: 0] += 1
    return false
  }

  mutating func extend(_ lease: Lease) -> Bool {
    guard isCurrent(lease) else { return false }
    leases[lease.lane]?.expires = now + ttl
    return true
  }

  mutating func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) -> Bool {
    guard isCurrent(lease), let held = leases[lease.lane] else { return false }
    var isProof = false
    var back: [Job] = []
    for job in held.jobs {
      switch settlements[job.number] ?? .back {
      case .done(let outcome):
        totals[outcome.rawValue, default: 0] += 1
        if outcome != .cancelled { isProof = true }
        if held.again.contains(job) { back.append(job) }
      case .again(let delay):
        totals["retried", default: 0] += 1
        delayed[job] = now + delay.wholeMilliseconds
      case .back:
        totals["returned", default: 0] += 1
        back.append(job)
      }
    }
    end(lease.lane, back: back, isProof: isProof)
    return true
  }

  mutating func park(_ connection: Int64, for milliseconds: Int, releasing lease: Lease?) -> Bool {
    if let lease, !isCurrent(lease) { return false }
    phases[connection] = .parked(until: now + milliseconds)
    if let lease, let held = leases[lease.lane] {
      totals["returned", default: 0] += held.jobs.count
      end(lease.lane, back: held.jobs, isProof: false)
    }
    return true
  }

  mutating func wake(_ connection: Int64) -> Bool {
    guard case .parked = phases[connection] else { return false }
    phases[connection] = .half
    return true
  }

  private mutating func end(_ lane: LaneID, back: [Job], isProof: Bool) {
    leases[lane] = nil
    waiting.formUnion(back)
    if phases[lane.connection] == .probing(lane) { phases[lane.connection] = isProof ? nil : .half }
  }
}

extension QueueModel {
  /// Does what has become due, at most as much as one call of lease does.
  mutating func catchUp() {
    let expired = leases.filter { $0.value.expires <= now }
      .sorted { ($0.value.expires, $0.key) < ($1.value.expires, $1.key) }
    for (lane, held) in expired.prefix(10) {
      totals["reaped", default: 0] += held.jobs.count
      end(lane, back: held.jobs, isProof: false)
    }
    let due = delayed.filter { $0.value <= now }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    for (job, _) in due.prefix(100) {
      delayed[job] = nil
      waiting.insert(job)
    }
    let over = phases.compactMap { connection, phase -> (until: Int, connection: Int64)? in
      if case .parked(let until) = phase, until <= now { (until, connection) } else { nil }
    }
    for (_, connection) in over.sorted(by: <).prefix(10) { phases[connection] = .half }
  }

  /// Lanes that may be taken, by the highest class that waits in them.
  var ready: [LaneID: JobClass] {
    let highest = waiting.reduce(into: [LaneID: JobClass]()) { $0[$1.lane] = min($0[$1.lane] ?? .bulk, $1.jobClass) }
    return highest.filter { lane, _ in
      if leases[lane] != nil || pausedLanes.contains(lane) { return false }
      return phases[lane.connection] == nil || phases[lane.connection] == .half
    }
  }

  /// Lanes of which a lease may take any, after `catchUp`.
  mutating func candidates(_ classes: Set<JobClass>) -> Set<LaneID> {
    totals["leases", default: 0] += 1
    let isForTheLowest = totals["leases", default: 0].isMultiple(of: 8)
    let order = isForTheLowest ? classes.sorted(by: >) : classes.sorted()
    let ready = isPaused ? [:] : ready
    let served = order.first { ready.values.contains($0) }
    return Set(ready.filter { $0.value == served }.keys)
  }

  /// Takes a batch of the lane and returns its fence, its jobs and whether it probes.
  mutating func take(
    _ lane: LaneID, limit: Int, classes: Set<JobClass>, worker: String
  ) -> (fence: Fence, jobs: [Int64], isHalfOpen: Bool) {
    let mine = waiting.filter { $0.lane == lane && classes.contains($0.jobClass) }.sorted()
    var taken = Array(mine.prefix(limit - limit / 8))
    for jobClass in classes.sorted(by: >) {
      let rest = mine.filter { $0.jobClass == jobClass && !taken.contains($0) }
      taken += rest.prefix(limit - taken.count)
    }
    waiting.subtract(taken)
    sequence += 1
    let fence = Fence(epoch: epoch, sequence: sequence)
    leases[lane] = Held(fence: fence, worker: worker, jobs: taken.sorted(), expires: now + ttl)
    let isHalfOpen = phases[lane.connection] == .half
    if isHalfOpen { phases[lane.connection] = .probing(lane) }
    return (fence, taken.sorted().map(\.number), isHalfOpen)
  }

  /// What an empty lease should say; nil if nothing is under way.
  var nextDue: Int? {
    if isPaused { return nil }
    let parked = phases.values.compactMap { phase -> Int? in if case .parked(let until) = phase { until } else { nil } }
    let earliest = (leases.values.map(\.expires) + delayed.values + parked).min()
    return earliest.map { max(0, $0 - now) }
  }
}
