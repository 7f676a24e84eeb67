import JobQueue
import Platform

/// Whose turn it is: start-time fair queueing among connections, and among the lanes of each.
extension QueueModel {
  /// The lane that a lease takes; after `catchUp`.
  package mutating func next(_ classes: Set<JobClass>) -> LaneID? {
    totals["leases", default: 0] += 1
    let count = (totals[Self.counter(classes)] ?? 0) + 1
    var order = classes.sorted()
    if count % 8 == 0 { order.reverse() }
    if count % 8 == 4, order.count == 3 { order = [.interactive, .revoke, .bulk] }
    if rules?.isPaused == true { return nil }
    guard let served = order.first(where: { turnCount($0) > 0 }),
      let connection = turns[served]?.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key
    else { return nil }
    return ready.filter { $0.key.connection == connection && $0.value.jobClass == served }
      .min { ($0.value.time, $0.key.lane) < ($1.value.time, $1.key.lane) }?.key
  }

  static func counter(_ classes: Set<JobClass>) -> String {
    "leases:" + classes.sorted().map { String($0.rawValue) }.joined()
  }

  /// In how many milliseconds there may be another lease of these classes; nil if nothing is under way.
  package func nextDue(of classes: Set<JobClass>) -> Int? { classes.contains { turnCount($0) > 0 } ? 0 : nextDue }

  func turnCount(_ jobClass: JobClass) -> Int { turns[jobClass]?.count ?? 0 }

  private func isClosed(_ connection: Int64, _ jobClass: JobClass) -> Bool {
    if let phase = phases[connection], phase != .half { return true }
    guard connection != 0, let rules else { return false }
    let inWork = leases.keys.count { $0.connection == connection }
    let cap = rules.connections[connection]?.mostLanes ?? rules.mostLanes
    return inWork >= (jobClass == .revoke ? 2 * cap : cap)
  }

  mutating func open(_ connection: Int64, fresh: Set<JobClass> = []) {
    for jobClass in JobClass.allCases {
      let hasReady = ready.contains { $0.key.connection == connection && $0.value.jobClass == jobClass }
      if isClosed(connection, jobClass) || !hasReady {
        turns[jobClass]?[connection] = nil
        continue
      }
      let isNew = turns[jobClass]?[connection] == nil
      if isNew {
        let end = ends[Clock(jobClass: jobClass, connection: connection)] ?? 0
        turns[jobClass, default: [:]][connection] = max((clocks[jobClass] ?? -1) + 1, end)
      }
      if isNew || fresh.contains(jobClass) { wake(jobClass, most: 4) }
    }
  }

  mutating func place(_ lane: LaneID) { open(lane.connection, fresh: Set([lineUp(lane)].compactMap(\.self))) }

  /// Returns the class in which the lane has just become ready; its connection is to be opened.
  mutating func lineUp(_ lane: LaneID) -> JobClass? {
    let head = waiting.filter { $0.lane == lane }.min()?.jobClass
    let isHeld = leases[lane] != nil || parkedLanes[lane] != nil || rules?.lanes[lane]?.isPaused == true
    guard let head, !isHeld else {
      ready[lane] = nil
      return nil
    }
    if ready[lane]?.jobClass == head { return nil }
    let clock = laneClocks[Clock(jobClass: head, connection: lane.connection)] ?? -1
    let end = LaneEnd(jobClass: head, lane: lane)
    let time = max(clock + 1, laneEnds[end] ?? 0)
    if let ended = laneEnds[end], ended < time { laneEnds[end] = nil }
    ready[lane] = Turn(jobClass: head, time: time)
    return head
  }

  mutating func wake(_ jobClass: JobClass, most: Int) {
    if !isQuiet { push(jobClass, most: most) }
  }

  private mutating func push(_ jobClass: JobClass, most: Int) {
    if tokens[jobClass, default: 0] < most { tokens[jobClass, default: 0] += 1 }
  }

  /// Whoever sleeps was told of something that is due later.
  mutating func announce(_ due: Int, _ jobClass: JobClass) {
    guard due < now + 5000, !told.contains(jobClass) else { return }
    if expected == nil { expected = firstDue ?? .max }
    guard let expected, due < expected else { return }
    told.insert(jobClass)
    push(jobClass, most: 1)
  }
}
