import Cluster
import Databricks
import JobQueue
import Logging
import Metadata
import Platform

/// Schedulers and workers with their queue, ledger and targets in one world.
final class SimulatedCluster {
  let world: World
  let ledger: SimulatedLedger
  let redis: SimulatedRedis
  let targets: [Int64: SimulatedTarget]
  let work: SimulatedWork
  private(set) var processes: [SimulatedProcess] = []
  private var started = 0

  private static let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

  /// - Parameter lanes: the lanes of each connection; a lane's connection is its number without the last digit.
  init(_ world: World, lanes: [Int64: [Int64]]) {
    ledger = SimulatedLedger("ledger", in: world)
    for (number, lanes) in lanes { ledger.connections[number] = .init(number: number, lanes: lanes) }
    targets = [Int64: SimulatedTarget](
      uniqueKeysWithValues: lanes.keys.sorted().map { [ledger] number in
        (number, SimulatedTarget("target \(number)", ledger: ledger, in: world))
      })
    redis = SimulatedRedis("redis", in: world)
    work = SimulatedWork()
    self.world = world
  }

  private func start(_ kind: String) -> SimulatedProcess {
    started += 1
    let process = SimulatedProcess("\(kind)\(started)", in: world)
    processes.append(process)
    world.note("start \(process.name)")
    return process
  }

  @discardableResult
  func startWorker(_ change: (inout WorkerConfiguration) -> Void = { _ in }) -> SimulatedProcess {
    let process = start("w")
    var configuration = WorkerConfiguration(name: process.name)
    change(&configuration)
    let worker = Worker(
      configuration: configuration, queue: SimulatedQueue(redis: redis, process: process),
      ledger: LedgerClient(ledger: ledger, process: process),
      handler: SimulatedHandler(process: process, ledger: ledger, targets: targets, work: work),
      surroundings: process, logger: Self.quiet)
    process.start { try await worker.run() }
    return process
  }

  @discardableResult
  func startScheduler(_ change: (inout SchedulerConfiguration) -> Void = { _ in }) -> SimulatedProcess {
    let process = start("s")
    var configuration = SchedulerConfiguration(name: process.name)
    configuration.dutyInterval = .seconds(2)
    change(&configuration)
    let targets = targets
    let scheduler = Scheduler(
      configuration: configuration, queue: SimulatedQueue(redis: redis, process: process),
      ledger: LedgerClient(ledger: ledger, process: process),
      instanceState: { connection in
        if connection.workspaceURL == SimulatedWork.silentWorkspace { try await process.sleep(for: .seconds(3600)) }
        guard let target = targets[connection.id] else { return nil }
        return target.isStopped ? .stopped(detail: "") : target.isAsleep ? .idle : .running
      },
      surroundings: process, logger: Self.quiet)
    process.start { try await scheduler.run() }
    return process
  }

  /// It is gone, or will be: others take its place.
  func forget(_ process: SimulatedProcess) { processes.removeAll { $0 === process } }

  func every(_ interval: Int, _ action: @escaping () -> Void) {
    world.after(interval) {
      action()
      self.every(interval, action)
    }
  }

  /// Runs until it holds; a violation if that takes longer.
  func run(atMost seconds: Int, _ what: String, until isOver: () -> Bool) {
    let limit = world.now + .seconds(seconds)
    world.run { isOver() || world.now > limit }
    if world.violations.isEmpty, !isOver() { world.violate("\(what): not within \(seconds) s") }
  }

  /// Every job has ended, and the queue knows it.
  var isDrained: Bool {
    guard ledger.model.unfinished.isEmpty, let memory = redis.memory else { return false }
    return memory.waiting.isEmpty && memory.delayed.isEmpty && memory.leases.isEmpty
  }
}
