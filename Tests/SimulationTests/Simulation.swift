import Cluster
import Databricks
import JobQueue
import Logging
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

/// Schedulers, workers, a queue, a ledger and targets in one world: a time of faults, then peace, and what must hold
/// after it.
final class Simulation {
  let world: World
  private let ledger: SimulatedLedger
  private let redis: SimulatedRedis
  private let targets: [Int64: SimulatedTarget]
  private var processes: [SimulatedProcess] = []
  private var started = 0
  private var isPeace = false
  /// Dead letters that were there in peace already are not retried twice.
  private var drained = false

  private static let connections: ClosedRange<Int64> = 1...2
  private static let users: ClosedRange<Int> = 1...2
  private static let tables: ClosedRange<Int> = 1...2
  private static let unrest = Int.seconds(120)
  /// How long everything may take to settle in peace. A connection parks for five minutes at most, and sessions of the
  /// dead last ninety seconds.
  private static let patience = Int.seconds(3600)
  private static let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

  init(seed: UInt64, mutation: Mutation? = nil, keepsTrace: Bool = false) {
    let world = World(seed: seed, mutation: mutation, keepsTrace: keepsTrace)
    let ledger = SimulatedLedger("ledger", in: world)
    for number in Self.connections {
      ledger.connections[number] = .init(number: number, lanes: [number * 10, number * 10 + 1])
    }
    targets = Dictionary(
      uniqueKeysWithValues: Self.connections.map { ($0, SimulatedTarget("target \($0)", ledger: ledger, in: world)) })
    redis = SimulatedRedis("redis", in: world)
    (self.world, self.ledger) = (world, ledger)
  }

  func run() {
    for _ in 0..<2 { startScheduler() }
    for _ in 0..<3 { startWorker() }
    drawFaults()
    every(.seconds(1)) {
      self.redis.remember()
      self.checkNothingIsLost()
    }
    changeNext()
    strikeNext()
    world.run { world.now >= Self.unrest }
    guard world.violations.isEmpty else { return }
    makePeace()
    let limit = world.now + Self.patience
    every(.seconds(1)) { self.drained = self.isDrained }
    world.run { drained || world.now > limit }
    if world.violations.isEmpty { check() }
  }

  private func every(_ interval: Int, _ action: @escaping () -> Void) {
    world.after(interval) {
      action()
      self.every(interval, action)
    }
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

// Processes.
extension Simulation {
  private func start(_ kind: String) -> SimulatedProcess {
    started += 1
    let process = SimulatedProcess("\(kind)\(started)", in: world)
    processes.append(process)
    world.note("start \(process.name)")
    return process
  }

  private func startWorker() {
    let process = start("w")
    var configuration = WorkerConfiguration(name: process.name)
    configuration.concurrency = world.draw(1...3)
    configuration.batchSize = world.draw([3, 10, 200])
    let worker = Worker(
      configuration: configuration, queue: SimulatedQueue(redis: redis, process: process),
      ledger: LedgerClient(ledger: ledger, process: process),
      handler: SimulatedHandler(process: process, ledger: ledger, targets: targets), surroundings: process,
      logger: Self.quiet)
    process.start { try await worker.run() }
  }

  private func startScheduler() {
    let process = start("s")
    var configuration = SchedulerConfiguration(name: process.name)
    configuration.outboxBatch = world.draw([3, 10, 1000])
    configuration.dutyInterval = .seconds(2)
    let targets = targets
    let scheduler = Scheduler(
      configuration: configuration, queue: SimulatedQueue(redis: redis, process: process),
      ledger: LedgerClient(ledger: ledger, process: process),
      instanceState: { connection in targets[connection.id]?.isStopped == true ? .stopped(detail: "") : .running },
      surroundings: process, logger: Self.quiet)
    process.start { try await scheduler.run() }
  }

  private func replace(_ process: SimulatedProcess, after delay: Int) {
    processes.removeAll { $0 === process }
    world.after(delay) { process.name.hasPrefix("w") ? self.startWorker() : self.startScheduler() }
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
    let target = targets[Int64(world.draw(1...2))]!
    let while_ = world.draw(0...(.seconds(90)))
    switch world.draw(0...11) {
    case 0...4: strike(world.draw(processes))
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
    guard processes.contains(where: { $0 === process }) else { return }
    switch world.draw(0...4) {
    case 0, 1:
      world.note("kill \(process.name)")
      process.kill()
      replace(process, after: world.draw(0...(.seconds(30))))
    case 2:
      world.note("cancel \(process.name)")
      process.cancel()
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
    (redis.isUp, ledger.isUp, ledger.syncEvery) = (true, true, nil)
    for target in targets.values { (target.isUp, _) = (true, target.setStopped(false)) }
    for process in processes { process.goOn() }
    every(.seconds(20)) { self.retryDeadLetter() }
  }

  private var isDrained: Bool {
    guard ledger.model.unfinished.isEmpty, let memory = redis.memory,
      !ledger.model.rows.values.contains(where: { $0.state == .discarded })
    else { return false }
    return memory.waiting.isEmpty && memory.delayed.isEmpty && memory.leases.isEmpty
  }

  /// At every instant: what Redis was told of in the epoch that both agree on is there, or has ended.
  private func checkNothingIsLost() {
    guard let memory = redis.memory, memory.epoch == ledger.model.epoch, ledger.model.redisRunID == "\(redis.run)"
    else { return }
    let leased = memory.leases.values.flatMap(\.jobs)
    let there = Set((Array(memory.waiting) + Array(memory.delayed.keys) + leased).map(\.number))
    for id in ledger.model.unfinished where !there.contains(id) {
      guard let row = ledger.model.rows[id], row.enqueuedEpoch == memory.epoch else { continue }
      world.violate("the queue was told of job \(id) and has lost it: \(row)")
    }
  }

  private func check() {
    if !drained {
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
      let isGranted = targets[ledger.connection(of: access.lane)]?.granted.contains(access) ?? false
      if isGranted != isDesired { world.violate("\(access) is granted: \(isGranted), desired: \(isDesired)") }
    }
  }
}
