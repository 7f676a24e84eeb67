import JobQueue
import Platform

/// The queue as plain values: what each call should do, written without Redis. One clock, no concurrency.
package struct QueueModel {
  package struct Job: Hashable, Comparable {
    package let lane: LaneID
    package let jobClass: JobClass
    package let number: Int64
    package let text: String

    package init(_ job: QueuedJob) { (lane, jobClass, number, text) = (job.lane, job.jobClass, job.number, job.text) }

    package static func < (left: Job, right: Job) -> Bool { (left.lane, left.text) < (right.lane, right.text) }
  }

  package struct Held {
    package let fence: Fence
    package let worker: String
    package let jobs: [Job]
    package let jobClass: JobClass
    /// The virtual time at which the batch ends for its lane.
    package let ended: Int
    package var expires: Int
    /// Offered again while they were leased.
    package var again: Set<Job> = []
  }

  package enum Phase: Equatable { case parked(until: Int), half, probing(LaneID) }
  package struct Turn: Equatable { package let jobClass: JobClass, time: Int }
  package struct Clock: Hashable { package let jobClass: JobClass, connection: Int64 }

  package let ttl: Int
  package var now = 1_000_000
  package var epoch: Int64 = 1
  package var sequence: Int64 = 0
  package var waiting: Set<Job> = []
  package var delayed: [Job: Int] = [:]
  package var leases: [LaneID: Held] = [:]
  package var phases: [Int64: Phase] = [:]
  package var parkedLanes: [LaneID: Int] = [:]
  package var rules: QueueRules?
  package var totals: [String: Int] = [:]

  /// Lanes that may be taken as far as they themselves are concerned, with their virtual times.
  package var ready: [LaneID: Turn] = [:]
  /// Connections that have such lanes and are open, with their virtual times, by class.
  package var turns: [JobClass: [Int64: Int]] = [:]
  /// Virtual time of the connection that was taken last, by class.
  package var clocks: [JobClass: Int] = [:]
  /// Virtual time of the lane of a connection that was taken last, and the end of the connection's last batch.
  package var laneClocks: [Clock: Int] = [:]
  package var ends: [Clock: Int] = [:]

  package init(ttl: Int) { self.ttl = ttl }
}

extension QueueModel {
  package mutating func establish(_ epoch: Int64) {
    var fresh = QueueModel(ttl: ttl)
    (fresh.now, fresh.epoch, fresh.rules) = (now, epoch, rules)
    self = fresh
  }

  /// Nil if the queue is full.
  package mutating func enqueue(
    _ jobs: [QueuedJob], most: Int, mostOfConnection: Int
  ) -> (added: Int, full: Set<Int64>)? {
    let urgent = jobs.filter { $0.jobClass == .revoke }
    let others = jobs.filter { $0.jobClass != .revoke }
    var added = urgent.isEmpty ? 0 : take(in: urgent)
    if others.isEmpty { return (added, []) }
    guard waiting.count + delayed.count < most else {
      totals["refused", default: 0] += 1
      return nil
    }
    var full: Set<Int64> = []
    for group in Self.groups(others) {
      let connection = group[0].lane.connection
      if connection != 0 && depth(of: connection) >= mostOfConnection {
        full.insert(connection)
      } else {
        added += take(in: group)
      }
    }
    if !full.isEmpty { totals["refused", default: 0] += 1 }
    return (added, full)
  }

  package func depth(of connection: Int64) -> Int {
    waiting.count { $0.lane.connection == connection } + delayed.keys.count { $0.lane.connection == connection }
  }

  /// Jobs of one lane and delay, in the order in which they come first.
  private static func groups(_ jobs: [QueuedJob]) -> [[QueuedJob]] {
    struct Key: Hashable { let lane: LaneID, delay: Duration }
    var (order, groups) = ([Key](), [Key: [QueuedJob]]())
    for job in jobs {
      let key = Key(lane: job.lane, delay: job.delay ?? .zero)
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(job)
    }
    return order.compactMap { groups[$0] }
  }

  private mutating func take(in jobs: [QueuedJob]) -> Int {
    var added = 0
    for queued in jobs {
      let job = Job(queued)
      if leases[job.lane]?.jobs.contains(job) == true {
        leases[job.lane]?.again.insert(job)
        continue
      }
      if waiting.contains(job) { continue }
      let delay = queued.delay?.wholeMilliseconds ?? 0
      if delayed[job] != nil {
        guard delay == 0 else { continue }
        delayed[job] = nil
        waiting.insert(job)
        continue
      }
      if delay > 0 {
        delayed[job] = now + delay
      } else {
        waiting.insert(job)
      }
      added += 1
    }
    totals["enqueued", default: 0] += added
    for lane in Set(jobs.map(\.lane)).sorted() { place(lane) }
    return added
  }

  package mutating func cancel(_ job: Job) -> Bool {
    defer { place(job.lane) }
    return waiting.remove(job) != nil || delayed.removeValue(forKey: job) != nil
  }

  /// True if this is the lane's lease; a wrong one is counted.
  package mutating func isCurrent(_ lease: Lease) -> Bool {
    if leases[lease.lane]?.fence == lease.fence { return true }
    totals["stale", default: 0] += 1
    return false
  }

  package mutating func extend(_ lease: Lease) -> Bool {
    guard isCurrent(lease) else { return false }
    leases[lease.lane]?.expires = now + ttl
    return true
  }

  package mutating func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) -> Bool {
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
    end(lease.lane, held, back: back, isProof: isProof)
    return true
  }

  package mutating func park(_ connection: Int64, for milliseconds: Int, releasing lease: Lease?) -> Bool {
    if let lease, !isCurrent(lease) { return false }
    phases[connection] = .parked(until: now + milliseconds)
    open(connection)
    giveBack(lease)
    return true
  }

  package mutating func park(_ lane: LaneID, for milliseconds: Int, releasing lease: Lease?) -> Bool {
    if let lease, !isCurrent(lease) { return false }
    parkedLanes[lane] = now + milliseconds
    place(lane)
    giveBack(lease)
    return true
  }

  private mutating func giveBack(_ lease: Lease?) {
    guard let lease, let held = leases[lease.lane] else { return }
    totals["returned", default: 0] += held.jobs.count
    end(lease.lane, held, back: held.jobs, isProof: false)
  }

  package mutating func wake(_ connection: Int64) -> Bool {
    guard case .parked = phases[connection] else { return false }
    phases[connection] = .half
    open(connection)
    return true
  }

  package mutating func wake(_ lane: LaneID) -> Bool {
    guard parkedLanes.removeValue(forKey: lane) != nil else { return false }
    place(lane)
    return true
  }

  package mutating func apply(_ newer: QueueRules) -> Bool {
    guard newer.version > rules?.version ?? -1 else { return false }
    let lanes = Set((rules?.lanes ?? [:]).filter(\.value.isPaused).keys).union(
      newer.lanes.filter(\.value.isPaused).keys)
    let caps = Set((rules?.connections ?? [:]).filter { $0.value.mostLanes != nil }.keys)
      .union(newer.connections.filter { $0.value.mostLanes != nil }.keys)
    rules = newer
    for connection in caps.union(leases.keys.map(\.connection)) { open(connection) }
    for lane in lanes { place(lane) }
    return true
  }

  private mutating func end(_ lane: LaneID, _ held: Held, back: [Job], isProof: Bool) {
    leases[lane] = nil
    waiting.formUnion(back)
    if phases[lane.connection] == .probing(lane) { phases[lane.connection] = isProof ? nil : .half }
    place(lane, after: held)
  }
}

extension QueueModel {
  /// Does what has become due, at most as much as one call of lease does.
  package mutating func catchUp() {
    let expired = leases.filter { $0.value.expires <= now }
      .sorted { ($0.value.expires, $0.key) < ($1.value.expires, $1.key) }
    for (lane, held) in expired.prefix(10) {
      totals["reaped", default: 0] += held.jobs.count
      end(lane, held, back: held.jobs, isProof: false)
    }
    let due = delayed.filter { $0.value <= now }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
    for (job, _) in due.prefix(100) {
      delayed[job] = nil
      waiting.insert(job)
    }
    for lane in Set(due.prefix(100).map(\.key.lane)) { place(lane) }
    unparkDue()
  }

  private mutating func unparkDue() {
    var over: [(until: Int, name: String, connection: Int64, lane: LaneID?)] = []
    for (connection, phase) in phases {
      guard case .parked(let until) = phase, until <= now else { continue }
      over.append((until, String("\(LaneID(connection: connection, lane: 0))".prefix(10)), connection, nil))
    }
    for (lane, until) in parkedLanes where until <= now { over.append((until, "\(lane)", lane.connection, lane)) }
    for entry in over.sorted(by: { ($0.until, $0.name) < ($1.until, $1.name) }).prefix(10) {
      if let lane = entry.lane { _ = wake(lane) } else { _ = wake(entry.connection) }
    }
  }

  /// The lane that a lease takes; after `catchUp`.
  package mutating func next(_ classes: Set<JobClass>) -> LaneID? {
    totals["leases", default: 0] += 1
    let calls = totals["leases", default: 0] % 8
    var order = classes.sorted()
    if calls == 0 { order.reverse() }
    if calls == 4, order.count == 3 { order = [.interactive, .revoke, .bulk] }
    if rules?.isPaused == true { return nil }
    guard let served = order.first(where: { turns[$0]?.isEmpty == false }),
      let connection = turns[served]?.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key
    else { return nil }
    return ready.filter { $0.key.connection == connection && $0.value.jobClass == served }
      .min { ($0.value.time, $0.key.lane) < ($1.value.time, $1.key.lane) }?.key
  }

  /// Takes a batch of the lane and returns its fence, its jobs and whether it probes.
  package mutating func take(
    _ lane: LaneID, limit: Int, classes: Set<JobClass>, worker: String
  ) -> (fence: Fence, jobs: [Int64], isHalfOpen: Bool)? {
    guard let turn = ready[lane], let own = turns[turn.jobClass]?[lane.connection] else { return nil }
    let mine = waiting.filter { $0.lane == lane && classes.contains($0.jobClass) }.sorted()
    var taken = Array(mine.prefix(limit - limit / 8))
    for jobClass in classes.sorted(by: >) {
      let rest = mine.filter { $0.jobClass == jobClass && !taken.contains($0) }
      taken += rest.prefix(limit - taken.count)
    }
    taken.sort()
    waiting.subtract(taken)
    sequence += 1
    totals["started", default: 0] += taken.count
    func cost(_ weight: Int?) -> Int { (taken.count * 1000 + (weight ?? 1) - 1) / (weight ?? 1) }
    leases[lane] = Held(
      fence: Fence(epoch: epoch, sequence: sequence), worker: worker, jobs: taken, jobClass: turn.jobClass,
      ended: turn.time + cost(rules?.lanes[lane]?.weight), expires: now + ttl)
    let clock = Clock(jobClass: turn.jobClass, connection: lane.connection)
    clocks[turn.jobClass] = own
    ends[clock] = own + cost(rules?.connections[lane.connection]?.weight)
    laneClocks[clock] = turn.time
    let isHalfOpen = phases[lane.connection] == .half
    if isHalfOpen { phases[lane.connection] = .probing(lane) }
    turns[turn.jobClass]?[lane.connection] = nil
    place(lane)
    return (Fence(epoch: epoch, sequence: sequence), taken.map(\.number), isHalfOpen)
  }

  /// What an empty lease should say; nil if nothing is under way.
  package var nextDue: Int? {
    if rules?.isPaused == true { return nil }
    let parked = phases.values.compactMap { phase -> Int? in if case .parked(let until) = phase { until } else { nil } }
    let dues = leases.values.map(\.expires) + Array(delayed.values) + parked + Array(parkedLanes.values)
    return dues.min().map { max(0, $0 - now) }
  }
}

/// Whose turn it is: start-time fair queueing among connections, and among the lanes of each.
extension QueueModel {
  private func isClosed(_ connection: Int64) -> Bool {
    if let phase = phases[connection], phase != .half { return true }
    guard connection != 0, let rules else { return false }
    let inWork = leases.keys.count { $0.connection == connection }
    return inWork >= rules.connections[connection]?.mostLanes ?? rules.mostLanes
  }

  private mutating func open(_ connection: Int64) {
    for jobClass in JobClass.allCases {
      let hasReady = ready.contains { $0.key.connection == connection && $0.value.jobClass == jobClass }
      if isClosed(connection) || !hasReady {
        turns[jobClass]?[connection] = nil
      } else if turns[jobClass]?[connection] == nil {
        let end = ends[Clock(jobClass: jobClass, connection: connection)] ?? 0
        turns[jobClass, default: [:]][connection] = max((clocks[jobClass] ?? -1) + 1, end)
      }
    }
  }

  private mutating func place(_ lane: LaneID, after batch: Held? = nil) {
    let head = waiting.filter { $0.lane == lane }.min()?.jobClass
    let isHeld = leases[lane] != nil || parkedLanes[lane] != nil || rules?.lanes[lane]?.isPaused == true
    if let head, !isHeld {
      if ready[lane]?.jobClass != head {
        let clock = laneClocks[Clock(jobClass: head, connection: lane.connection)] ?? -1
        ready[lane] = Turn(jobClass: head, time: max(clock + 1, batch?.jobClass == head ? batch?.ended ?? 0 : 0))
      }
    } else {
      ready[lane] = nil
    }
    open(lane.connection)
  }
}
