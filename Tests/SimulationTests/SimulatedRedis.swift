import Cluster
import JobQueue
import Platform
import QueueModelKit

/// A Redis server with the queue's scripts, as `QueueModel` has them.
///
/// `@unchecked`: see `World`.
final class SimulatedRedis: Service, @unchecked Sendable {
  private(set) var memory: QueueModel?
  private(set) var run = 1
  var mostWaiting = 1_000_000
  var mostWaitingOfConnection = 1_000_000
  /// Milliseconds that the server's clock is ahead.
  var clockError = 0
  /// What a replica or a file may have instead, the latest last.
  private var past: [QueueModel?] = []
  private var waiting: [Reply<Bool>] = []
  private var lastFence = Fence(epoch: 0, sequence: 0)
  static let leaseTTL: Duration = .seconds(30)

  func remember() {
    past.append(memory)
    if past.count > 60 { past.removeFirst() }
  }

  /// It comes back as another run, with an older memory or none.
  func restart(forgetting seconds: Int?) {
    run += 1
    memory = seconds.flatMap { past.isEmpty ? nil : past[max(0, past.count - 1 - $0)] }
    lastFence = Fence(epoch: 0, sequence: 0)
  }

  func flush() { memory = nil }

  func with<Value>(
    _ body: (inout QueueModel) throws(JobQueueError) -> Value
  ) throws(JobQueueError) -> Value {
    guard var model = memory else { throw JobQueueError(.epochLost, "no memory") }
    memory = nil
    model.now = 1_000_000 + world.now / 1000 + clockError
    defer { memory = model }
    return try body(&model)
  }

  /// As `with`, for what may give a waiting worker something to do.
  func change<Value>(
    _ body: (inout QueueModel) throws(JobQueueError) -> Value
  ) throws(JobQueueError) -> Value {
    let value = try with(body)
    if memory?.ready.isEmpty == false {
      for reply in waiting { reply.set(true) }
      waiting = []
    }
    return value
  }

  func establish(_ epoch: Int64) -> Bool {
    var model = memory ?? QueueModel(ttl: Self.leaseTTL.wholeMilliseconds)
    if memory != nil, model.epoch >= epoch { return model.epoch == epoch }
    model.establish(epoch)
    memory = model
    lastFence = Fence(epoch: 0, sequence: 0)
    return true
  }

  /// - Returns: What is leased, and in how many milliseconds there may be another lease.
  func lease(_ worker: String, _ limit: Int, _ classes: Set<JobClass>) throws(JobQueueError) -> (Taken?, Int?) {
    let (taken, due) = try take(worker, limit, classes)
    guard let taken else { return (nil, due) }
    if taken.fence <= lastFence { world.violate("fence \(taken.fence) was given out after \(lastFence)") }
    world.note("leased \(taken.lane) \(taken.fence) \(taken.jobs) half-open \(taken.isHalfOpen)")
    lastFence = taken.fence
    return (taken, due)
  }

  private func take(
    _ worker: String, _ limit: Int, _ classes: Set<JobClass>
  ) throws(JobQueueError) -> (Taken?, Int?) {
    try with { model throws(JobQueueError) in
      model.catchUp()
      guard let lane = model.next(classes),
        let (fence, jobs, isHalfOpen) = model.take(lane, limit: limit, classes: classes, worker: worker)
      else { return (nil, model.nextDue) }
      let taken = Taken(lane: lane, fence: fence, jobs: jobs, isHalfOpen: isHalfOpen)
      return (taken, model.nextDue(of: classes))
    }
  }

  struct Taken: Sendable {
    let lane: LaneID
    let fence: Fence
    let jobs: [Int64]
    let isHalfOpen: Bool
  }

  func waitForChange(_ reply: Reply<Bool>) { waiting.append(reply) }
}

/// The queue as one process reaches it.
struct SimulatedQueue: WorkQueue {
  let redis: SimulatedRedis
  let process: SimulatedProcess

  var leaseTTL: Duration { SimulatedRedis.leaseTTL }
  var longestWait: Duration { .seconds(5) }
  var mostWaiting: Int { redis.mostWaiting }
  var mostWaitingOfConnection: Int { redis.mostWaitingOfConnection }
  func depths(of connections: Set<Int64>) async throws(JobQueueError) -> [Int64: Int] {
    try await call("depths") { () throws(JobQueueError) in
      try redis.with { model in connections.reduce(into: [:]) { $0[$1] = model.depth(of: $1) } }
    }
  }
  func depth() async throws(JobQueueError) -> Int {
    try await call("depth") { () throws(JobQueueError) in try redis.with { model in model.depth } }
  }

  private func call<Value: Sendable>(
    _ what: String, repeats: Bool = false, _ effect: @escaping @Sendable () throws(JobQueueError) -> Value
  ) async throws(JobQueueError) -> Value {
    try await redis.call(
      what, from: process, lost: JobQueueError(.unavailable, "lost"), cancelled: JobQueueError(.cancelled, "cancelled"),
      repeats: repeats, effect)
  }

  func epoch() async throws(JobQueueError) -> Int64? {
    try await call("epoch") { () throws(JobQueueError) in redis.memory?.epoch }
  }

  func serverRunID() async throws(JobQueueError) -> String? {
    try await call("run") { () throws(JobQueueError) in "\(redis.run)" }
  }

  func establish(epoch: Int64) async throws(JobQueueError) -> Bool {
    try await call("establish \(epoch)") { () throws(JobQueueError) in redis.establish(epoch) }
  }

  func enqueue(_ jobs: [QueuedJob], epoch: Int64) async throws(JobQueueError) -> LaneQueue.Enqueued {
    try await call("enqueue \(jobs.map(\.number))", repeats: true) { () throws(JobQueueError) in
      try redis.change { model throws(JobQueueError) in
        guard model.epoch == epoch else { throw JobQueueError(.epochLost, "another epoch") }
        let isForgetful = redis.world.mutation == .queueForgetsAgain
        let offered = isForgetful ? jobs.filter { !model.isLeased($0) } : jobs
        guard
          let (added, full) = model.enqueue(
            offered, most: redis.mostWaiting, mostOfConnection: redis.mostWaitingOfConnection)
        else { throw JobQueueError(.full, "full") }
        var enqueued = LaneQueue.Enqueued()
        (enqueued.added, enqueued.full) = (added, full)
        return enqueued
      }
    }
  }

  func lease(worker: String, limit: Int, classes: Set<JobClass>) async throws(JobQueueError) -> LeaseReply {
    let asked = process.now
    let (taken, due) = try await call("lease") { () throws(JobQueueError) -> (SimulatedRedis.Taken?, Int?) in
      try redis.lease(worker, limit, classes)
    }
    return reply(taken, due, worker, asked)
  }

  private func reply(
    _ taken: SimulatedRedis.Taken?, _ due: Int?, _ worker: String, _ asked: ContinuousClock.Instant
  ) -> LeaseReply {
    guard let taken else { return .empty(nextDue: due.map { .milliseconds($0) }) }
    // As `LaneQueue` does: a job that was made more urgent may be there in its old class too.
    let jobs = taken.jobs.reduce(into: [Int64]()) { jobs, job in if !jobs.contains(job) { jobs.append(job) } }
    return .leased(
      Lease(
        lane: taken.lane, fence: taken.fence, jobs: jobs, worker: worker, ttl: leaseTTL,
        trustedUntil: Deadline(asked.advanced(by: leaseTTL)), isHalfOpen: taken.isHalfOpen,
        nextDue: due.map { .milliseconds($0) }))
  }

  func settle(_ lease: Lease, _ settlements: [Int64: Settlement]) async throws(JobQueueError) {
    try await call(what(lease, settlements), repeats: true) { () throws(JobQueueError) in try end(lease, settlements) }
  }

  func settle(
    _ lease: Lease, _ settlements: [Int64: Settlement], thenLeaseAs worker: String, limit: Int, classes: Set<JobClass>
  ) async throws(JobQueueError) -> LeaseReply {
    let asked = process.now
    let (taken, due) = try await call(what(lease, settlements) + ", then lease") {
      () throws(JobQueueError) -> (SimulatedRedis.Taken?, Int?) in
      try end(lease, settlements)
      return try redis.lease(worker, limit, classes)
    }
    return reply(taken, due, worker, asked)
  }

  private func what(_ lease: Lease, _ settlements: [Int64: Settlement]) -> String {
    "settle \(lease.lane) \(lease.fence) \(settlements.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })"
  }

  private func end(_ lease: Lease, _ settlements: [Int64: Settlement]) throws(JobQueueError) {
    try redis.change { model throws(JobQueueError) in
      let lease = redis.world.mutation == .queueIgnoresFences ? lease.underCurrentFence(of: model) : lease
      guard model.settle(lease, settlements) else { throw JobQueueError(.fenced, "fenced") }
    }
  }

  func extend(_ lease: Lease) async throws(JobQueueError) -> Bool {
    try await call("extend \(lease.lane) \(lease.fence)", repeats: true) { () throws(JobQueueError) in
      try redis.with { model in model.extend(lease) }
    }
  }

  func park(connection: Int64, for duration: Duration, releasing lease: Lease?) async throws(JobQueueError) {
    try await call("park \(connection)", repeats: true) { () throws(JobQueueError) in
      try redis.change { model throws(JobQueueError) in
        guard model.park(connection, for: duration.wholeMilliseconds, releasing: lease) else {
          throw JobQueueError(.fenced, "fenced")
        }
      }
    }
  }

  func park(lane: LaneID, for duration: Duration, releasing lease: Lease?) async throws(JobQueueError) {
    try await call("park \(lane)", repeats: true) { () throws(JobQueueError) in
      try redis.change { model throws(JobQueueError) in
        guard model.park(lane, for: duration.wholeMilliseconds, releasing: lease) else {
          throw JobQueueError(.fenced, "fenced")
        }
      }
    }
  }

  func wake(connection: Int64) async throws(JobQueueError) -> Bool {
    try await call("wake \(connection)", repeats: true) { () throws(JobQueueError) in
      try redis.change { model in model.wake(connection) }
    }
  }

  /// Rules are the operators' word, which no epoch and no fault of this simulation changes.
  static let rulesVersion: Int64 = 1
  func rulesVersion() async throws(JobQueueError) -> Int64? { Self.rulesVersion }
  func apply(_ rules: QueueRules) async throws(JobQueueError) -> Bool { false }

  // Workers without a beat in their configuration say nothing of themselves.
  func beat(_ beat: WorkerBeat) async throws(JobQueueError) {}
  func leave(worker: String) async throws(JobQueueError) {}

  func waitForWork(atMost longest: Duration, classes: Set<JobClass>) async {
    let reply = Reply<Bool>()
    redis.waitForChange(reply)
    redis.world.after(min(longest, longestWait).microseconds) { reply.set(false) }
    _ = await reply.get(orWhenCancelled: false)
  }
}

extension QueueModel {
  var depth: Int { waiting.count + delayed.count }

  func isLeased(_ job: QueuedJob) -> Bool { leases[job.lane]?.jobs.contains { $0.number == job.number } ?? false }
}

extension Lease {
  /// What a queue would see that did not compare fences.
  func underCurrentFence(of model: QueueModel) -> Lease {
    Lease(
      lane: lane, fence: model.leases[lane]?.fence ?? fence, jobs: jobs, worker: worker, ttl: ttl,
      trustedUntil: trustedUntil, isHalfOpen: isHalfOpen, nextDue: nextDue)
  }
}
