import JobQueue
import Metadata
import Platform

/// What is broken on purpose, one at a time: each must be found.
enum Mutation: CaseIterable, Sendable {
  /// Results are written before the target has committed.
  case settlesBeforeCommit
  /// The desired state is read before the lane's lock is held.
  case readsBeforeLock
  case ledgerIgnoresFences
  case queueIgnoresFences
  /// The queue does not note that a leased job was offered again.
  case queueForgetsAgain
}

/// A time of faults, then peace, and what must hold after it.
final class Simulation {
  let world: World
  private let cluster: SimulatedCluster
  private var cancelled: [SimulatedProcess] = []
  private var isPeace = false
  private var isDrained = false

  private static let users: ClosedRange<Int> = 1...2
  private static let tables: ClosedRange<Int> = 1...2
  private static let unrest = Int.seconds(120)
  /// How long everything may take to settle in peace. A connection parks for five minutes at most, and sessions of the
  /// dead last ninety seconds.
  private static let patience = Int.seconds(3600)

  private var ledger: SimulatedLedger { cluster.ledger }
  private var redis: SimulatedRedis { cluster.redis }

  init(_ world: World) {
    self.world = world
    cluster = SimulatedCluster(world, lanes: [1: [10, 11], 2: [20, 21]])
    cluster.redis.mostWaiting = world.draw([5, 1_000_000])
    cluster.redis.mostWaitingOfConnection = world.draw([3, 1_000_000])
    cluster.ledger.sweepEvery = .seconds(25)
    (cluster.work.failing, cluster.work.hopeless) = (0.05, 0.03)
    cluster.work.time = { _ in world.draw(0...world.draw([0, 0, 0, 300, 300, 3000, 3000, 30_000])) }
  }

  func run() {
    for _ in 0..<2 { startScheduler() }
    for _ in 0..<3 { startWorker() }
    drawFaults()
    cluster.every(.seconds(1)) {
      self.redis.remember()
      self.checkNothingIsLost()
    }
    changeNext()
    strikeNext()
    world.run { world.now >= Self.unrest }
    guard world.violations.isEmpty else { return }
    makePeace()
    let limit = world.now + Self.patience
    cluster.every(.seconds(1)) { self.isDrained = self.hasNothingLeft }
    world.run { isDrained || world.now > limit }
    if world.violations.isEmpty { check() }
  }

  private func startScheduler() { cluster.startScheduler { $0.outboxBatch = world.draw([3, 10, 1000]) } }

  private func startWorker() {
    cluster.startWorker {
      $0.concurrency = world.draw(1...3)
      $0.batchSize = world.draw([3, 10, 200])
    }
  }

  private func replace(_ process: SimulatedProcess, after delay: Int) {
    cluster.forget(process)
    world.after(delay) { process.name.hasPrefix("w") ? self.startWorker() : self.startScheduler() }
  }

  /// Each seed has its own mix of faults: all of them all the time would hide what few of them do.
  private func drawFaults() {
    func rate(_ most: Double) -> Double { world.happens(0.5) ? Double.random(in: 0...most, using: &world.random) : 0 }
    world.faults = Faults(
      lostRequest: rate(0.05), lostReply: rate(0.05), lateRequest: rate(0.03), repeated: rate(0.2), slow: rate(0.05),
      mishap: rate(0.005))
    world.mishap = { self.strike($0) }
  }
}

// What people do.
extension Simulation {
  private func changeNext() {
    world.after(world.draw(0...(.milliseconds(800)))) {
      guard !self.isPeace else { return }
      if self.ledger.isUp {
        for _ in 0..<self.world.draw([1, 1, 1, 1, 6]) { self.flip() }
        if self.world.happens(0.3) { self.retryDeadLetter() }
      }
      self.changeNext()
    }
  }

  private func flip() {
    let lane = Int64(world.draw(1...2) * 10 + world.draw(0...1))
    let access = SimulatedLedger.Access(
      lane: lane, user: Int64(world.draw(Self.users)), table: Int64(world.draw(Self.tables)))
    ledger.change(access, to: !(ledger.desired[access] ?? false))
  }

  private func retryDeadLetter() {
    let dead = ledger.model.rows.values.filter { $0.state == .discarded }.map(\.id).max()
    if let dead { ledger.retry(dead) }
  }
}

// What goes wrong.
extension Simulation {
  private func strikeNext() {
    world.after(world.draw(0...(.seconds(12)))) {
      guard !self.isPeace else { return }
      self.strike()
      self.strikeNext()
    }
  }

  private func strike() {
    let target = cluster.targets[Int64(world.draw(1...2))]!
    let while_ = world.draw(0...(.seconds(90)))
    switch world.draw(0...11) {
    case 0...4: if !cluster.processes.isEmpty { strike(world.draw(cluster.processes)) }
    case 5:
      world.note("flush")
      redis.flush()
    case 6, 7:
      let forgotten = world.draw([nil, 0, 1, 2, 60] as [Int?])
      world.note("redis restarts, forgetting \(forgotten as Any)")
      redis.restart(forgetting: forgotten)
      outage(of: redis, for: world.draw([0, .seconds(1), while_]))
    case 8:
      world.note("ledger restarts")
      ledger.restart()
      outage(of: ledger, for: world.draw([0, .seconds(2), while_]))
    case 9:
      world.note("\(target.name) stops")
      target.setStopped(true)
      world.after(while_) { target.setStopped(false) }
    case 10:
      world.note("\(target.name) restarts")
      target.restart()
      outage(of: target, for: world.draw([0, .seconds(2), while_]))
    default:
      redis.clockError += world.draw(-60_000...60_000)
      world.note("redis clock at \(redis.clockError)")
    }
  }

  private func strike(_ process: SimulatedProcess) {
    guard cluster.processes.contains(where: { $0 === process }) else { return }
    switch world.draw(0...4) {
    case 0, 1:
      world.note("kill \(process.name)")
      process.kill()
      replace(process, after: world.draw(0...(.seconds(30))))
    case 2:
      world.note("cancel \(process.name)")
      process.cancel()
      cancelled.append(process)
      replace(process, after: world.draw(0...(.seconds(5))))
    default:
      let time = world.draw(0...(.seconds(world.happens(0.5) ? 15 : 90)))
      world.note("stop \(process.name) for \(time)")
      process.stop()
      world.after(time) { process.goOn() }
    }
  }

  private func outage(of service: Service, for time: Int) {
    guard time > 0 else { return }
    service.isUp = false
    world.after(time) { service.isUp = true }
  }
}

// Peace.
extension Simulation {
  private func makePeace() {
    world.note("peace")
    isPeace = true
    world.faults = Faults()
    (redis.isUp, ledger.isUp, ledger.syncEvery, ledger.sweepEvery) = (true, true, nil, nil)
    for target in cluster.targets.values { (target.isUp, _) = (true, target.setStopped(false)) }
    for process in cluster.processes + cancelled { process.goOn() }
    cluster.every(.seconds(20)) { self.retryDeadLetter() }
  }

  private var hasNothingLeft: Bool {
    cluster.isDrained && !ledger.model.rows.values.contains { $0.state == .discarded }
  }

  /// At every instant: what Redis was told of in the epoch that both agree on is there, or has ended.
  private func checkNothingIsLost() {
    guard let memory = redis.memory, memory.epoch == ledger.model.epoch, ledger.model.redisRunID == "\(redis.run)"
    else { return }
    let leased = memory.leases.values.flatMap(\.jobs)
    let there = Set((Array(memory.waiting) + Array(memory.delayed.keys) + leased).map(\.number))
    for id in ledger.model.unfinished where !there.contains(id) {
      guard let row = ledger.model.rows[id], !ledger.model.isInOutbox(row) else { continue }
      world.violate("the queue was told of job \(id) and has lost it: \(row)")
    }
  }

  private func check() {
    for process in cancelled where process.condition == .running && !process.hasEnded {
      world.violate("\(process.name) was cancelled and has not ended")
    }
    if !isDrained {
      let stuck = ledger.model.unfinished.prefix(5).compactMap { ledger.model.rows[$0] }
      let memory = redis.memory
      world.violate(
        """
        \(ledger.model.unfinished.count) jobs never ended, such as \(stuck); epoch \(ledger.model.epoch); the queue has \
        \(memory?.waiting.count as Any) waiting, \(memory?.delayed.count as Any) delayed, \
        \(memory?.leases as Any) leased, \(memory?.phases as Any)
        """)
    }
    for (access, isDesired) in ledger.desired.sorted(by: { $0.key < $1.key }) {
      let isGranted = cluster.targets[ledger.connection(of: access.lane)]?.granted.contains(access) ?? false
      if isGranted != isDesired { world.violate("\(access) is granted: \(isGranted), desired: \(isDesired)") }
    }
  }
}
