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
    package var expires: Int
    /// Offered again while they were leased.
    package var again: Set<Job> = []
  }

  package enum Phase: Equatable { case parked(until: Int), half, probing(LaneID) }
  package struct Turn: Equatable { package let jobClass: JobClass, time: Int }
  package struct Clock: Hashable { package let jobClass: JobClass, connection: Int64 }
  package struct LaneEnd: Hashable { package let jobClass: JobClass, lane: LaneID }

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
  /// The end of a lane's last batch.
  package var laneEnds: [LaneEnd: Int] = [:]
  /// What would wake workers, by class.
  package var tokens: [JobClass: Int] = [:]
  /// True while nobody needs to be woken, because whoever calls leases next.
  var isQuiet = false
  /// When the call that is made found something next due, as soon as that mattered; and whom it has told of less.
  var expected: Int?
  var told: Set<JobClass> = []
  /// The clock and the totals of every ten seconds, newest first.
  package var samples: [[Int]] = []
  /// When each worker was heard of last; nil if it has left.
  package var workers: [String: Int?] = [:]

  package init(ttl: Int) { self.ttl = ttl }
}

extension QueueModel {
  package mutating func establish(_ epoch: Int64) {
    var fresh = QueueModel(ttl: ttl)
    (fresh.now, fresh.epoch, fresh.workers) = (now, epoch, workers)
    self = fresh
  }

  /// Nil if the queue is full.
  package mutating func enqueue(
    _ jobs: [QueuedJob], most: Int, mostOfConnection: Int
  ) -> (added: Int, full: Set<Int64>)? {
    let urgent = jobs.filter { $0.jobClass == .revoke }
    let others = jobs.filter { $0.jobClass != .revoke }
    (expected, told) = (nil, [])
    var added = take(in: Self.groups(urgent))
    if others.isEmpty { return (added, []) }
    guard waiting.count + delayed.count < most else {
      totals["refused", default: 0] += 1
      return nil
    }
    var full: Set<Int64> = []
    (expected, told) = (nil, [])
    let depths = Set(others.map(\.lane.connection)).reduce(into: [:]) { $0[$1] = depth(of: $1) }
    added += take(
      in: Self.groups(others).filter { group in
        let connection = group[0].lane.connection
        if connection == 0 || depths[connection, default: 0] < mostOfConnection { return true }
        full.insert(connection)
        return false
      })
    if !full.isEmpty { totals["refused", default: 0] += 1 }
    return (added, full)
  }

  package func depth(of connection: Int64) -> Int {
    waiting.count { $0.lane.connection == connection } + delayed.keys.count { $0.lane.connection == connection }
  }

  /// Jobs of one lane and delay, those with a delay first, else in the order in which they come first.
  private static func groups(_ jobs: [QueuedJob]) -> [[QueuedJob]] {
    struct Key: Hashable { let lane: LaneID, delay: Duration }
    var (order, groups) = ([Key](), [Key: [QueuedJob]]())
    for job in jobs {
      let key = Key(lane: job.lane, delay: job.delay ?? .zero)
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(job)
    }
    let sorted = order.enumerated().sorted { ($1.element.delay, $0.offset) < ($0.element.delay, $1.offset) }
    return sorted.compactMap { groups[$0.element] }
  }

  private mutating func take(in groups: [[QueuedJob]]) -> Int {
    var opened: [Int64: Set<JobClass>] = [:]
    let added = groups.reduce(0) { added, group in
      defer { opened[group[0].lane.connection, default: []].formUnion([lineUp(group[0].lane)].compactMap(\.self)) }
      return added + take(in: group)
    }
    for (connection, fresh) in opened { open(connection, fresh: fresh) }
    return added
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
        announce(now + delay, job.jobClass)
        delayed[job] = now + delay
      } else {
        waiting.insert(job)
      }
      added += 1
    }
    totals["enqueued", default: 0] += added
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

  package mutating func settle(
    _ lease: Lease, _ settlements: [Int64: Settlement], leasesNext: Bool = false
  ) -> Bool {
    guard isCurrent(lease), let held = leases[lease.lane] else { return false }
    (isQuiet, expected, told) = (leasesNext, nil, [])
    defer { isQuiet = false }
    var isProof = false
    var back: [Job] = []
    for job in held.jobs {
      let settlement = settlements[job.number] ?? .back
      if settlement != .back { isProof = true }
      switch settlement {
      case .done(let outcome):
        totals[outcome.rawValue, default: 0] += 1
        if held.again.contains(job) { back.append(job) }
      case .again(let delay):
        totals["retried", default: 0] += 1
        announce(now + delay.wholeMilliseconds, job.jobClass)
        delayed[job] = now + delay.wholeMilliseconds
      case .back:
        totals["returned", default: 0] += 1
        back.append(job)
      }
    }
    end(lease.lane, back: back, isProof: isProof)
    return true
  }

  package mutating func park(_ connection: Int64, for milliseconds: Int, releasing lease: Lease?) -> Bool {
    if let lease, !isCurrent(lease) { return false }
    announceToAll(now + milliseconds)
    phases[connection] = .parked(until: now + milliseconds)
    open(connection)
    giveBack(lease)
    return true
  }

  package mutating func park(_ lane: LaneID, for milliseconds: Int, releasing lease: Lease?) -> Bool {
    if let lease, !isCurrent(lease) { return false }
    announceToAll(now + milliseconds)
    parkedLanes[lane] = now + milliseconds
    place(lane)
    giveBack(lease)
    return true
  }

  private mutating func announceToAll(_ due: Int) {
    (expected, told) = (nil, [])
    for jobClass in JobClass.allCases { announce(due, jobClass) }
  }

  private mutating func giveBack(_ lease: Lease?) {
    guard let lease, let held = leases[lease.lane] else { return }
    totals["returned", default: 0] += held.jobs.count
    end(lease.lane, back: held.jobs, isProof: false)
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
    if !newer.isPaused { for jobClass in JobClass.allCases where turnCount(jobClass) > 0 { wake(jobClass, most: 1) } }
    return true
  }

  private mutating func end(_ lane: LaneID, back: [Job], isProof: Bool) {
    leases[lane] = nil
    waiting.formUnion(back)
    if phases[lane.connection] == .probing(lane) { phases[lane.connection] = isProof ? nil : .half }
    place(lane)
  }
}

extension QueueModel {
  /// Does what has become due, at most as much as one call of lease does.
  package mutating func catchUp() {
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
    for lane in Set(due.prefix(100).map(\.key.lane)) { place(lane) }
    unparkDue()
    sample()
  }

  private mutating func sample() {
    if let last = samples.first?.first, now - last < 10_000 { return }
    let counted = ["enqueued", "started", "completed", "discarded", "cancelled"].map { totals[$0] ?? 0 }
    samples.insert([now] + counted, at: 0)
    samples = Array(samples.prefix(7))
  }

  /// A worker says that it lives, or that it leaves.
  package mutating func beat(_ worker: String, leaves: Bool, silence: Int) {
    workers[worker] = .some(leaves ? nil : now)
    let silent = workers.filter { $0.value.map { $0 <= now - silence } ?? true }
      .sorted { ($0.value ?? 0, $0.key) < ($1.value ?? 0, $1.key) }
    for (worker, _) in silent.prefix(10) { workers[worker] = nil }
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

  /// Takes a batch of the lane and returns its fence, its jobs and whether it probes.
  package mutating func take(
    _ lane: LaneID, limit: Int, classes: Set<JobClass>, worker: String
  ) -> (fence: Fence, jobs: [Int64], isHalfOpen: Bool)? {
    guard let turn = ready[lane], let own = turns[turn.jobClass]?[lane.connection] else { return nil }
    (expected, told) = (nil, [])
    announce(now + ttl, turn.jobClass)
    let isHalfOpen = phases[lane.connection] == .half
    if isHalfOpen { phases[lane.connection] = .probing(lane) }
    sequence += 1
    let fence = Fence(epoch: epoch, sequence: sequence)
    leases[lane] = Held(fence: fence, worker: worker, jobs: [], expires: now + ttl)
    place(lane)
    let taken = batch(lane, turn.jobClass, limit, classes)
    waiting.subtract(taken)
    leases[lane] = Held(fence: fence, worker: worker, jobs: taken, expires: now + ttl)
    totals["started", default: 0] += taken.count
    totals[Self.counter(classes), default: 0] += 1
    move(lane, turn, own, by: taken.count { $0.jobClass == turn.jobClass })
    if let waiting = classes.sorted().first(where: { turnCount($0) > 0 }) { wake(waiting, most: 1) }
    return (fence, taken.map(\.number), isHalfOpen)
  }

  /// What a batch takes of a lane that is out of the ready ones: jobs of the class that is served but for the shares of
  /// the lower ones, and what else fits if nobody waits for it.
  private func batch(_ lane: LaneID, _ served: JobClass, _ limit: Int, _ classes: Set<JobClass>) -> [Job] {
    let lower = classes.filter { $0 > served }.sorted()
    let share = (limit + 15) / 16
    var rest = Dictionary(grouping: waiting.filter { $0.lane == lane }.sorted(), by: \.jobClass)
    var taken: [Job] = []
    func take(_ jobClass: JobClass, _ most: Int) {
      let found = rest[jobClass]?.prefix(max(0, most)) ?? []
      rest[jobClass]?.removeFirst(found.count)
      taken += found
    }
    take(served, max(1, limit - share * lower.count))
    for jobClass in lower { take(jobClass, share) }
    take(served, limit - taken.count)
    for jobClass in lower where !classes.contains(where: { $0 <= jobClass && turnCount($0) > 0 }) {
      take(jobClass, limit - taken.count)
    }
    return taken.sorted()
  }

  /// Moves the lane and its connection on by the jobs of the class that was served.
  private mutating func move(_ lane: LaneID, _ turn: Turn, _ own: Int, by jobs: Int) {
    func cost(_ weight: Int?) -> Int { (jobs * 1000 + (weight ?? 1) - 1) / (weight ?? 1) }
    let clock = Clock(jobClass: turn.jobClass, connection: lane.connection)
    let ended = own + cost(rules?.connections[lane.connection]?.weight)
    clocks[turn.jobClass] = own
    ends[clock] = ended
    laneClocks[clock] = turn.time
    laneEnds[LaneEnd(jobClass: turn.jobClass, lane: lane)] = turn.time + cost(rules?.lanes[lane]?.weight)
    if turns[turn.jobClass]?[lane.connection] != nil { turns[turn.jobClass]?[lane.connection] = ended }
  }

  /// What an empty lease should say; nil if nothing is under way.
  package var nextDue: Int? {
    rules?.isPaused == true ? nil : firstDue.map { max(0, $0 - now) }
  }

  var firstDue: Int? {
    let parked = phases.values.compactMap { phase -> Int? in if case .parked(let until) = phase { until } else { nil } }
    let dues = leases.values.map(\.expires) + Array(delayed.values) + parked + Array(parkedLanes.values)
    return dues.min()
  }
}
