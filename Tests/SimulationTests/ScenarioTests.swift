import Cluster
import JobQueue
import Logging
import Platform
import Testing

/// Single situations, each in a world without other faults.
@Suite(.timeLimit(.minutes(1)))
struct ScenarioTests {
  private typealias Access = SimulatedLedger.Access

  /// One after the other, twenty of them would take forty seconds, and leases last thirty.
  @Test func renewalsGoOutSideBySide() async {
    let world = await inWorld(1) { world in
      let cluster = SimulatedCluster(world, lanes: [:])
      _ = cluster.redis.establish(1)
      _ = try? cluster.redis.with { model in model.apply(QueueRules(version: 1, mostLanes: 100)) }
      let process = SimulatedProcess("w", in: world)
      let queue = SimulatedQueue(redis: cluster.redis, process: process)
      let renewal = LeaseRenewal(
        queue: queue, surroundings: process, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
      process.start {
        let jobs = (1...20).map {
          QueuedJob(number: $0, lane: LaneID(connection: 1, lane: $0), jobClass: .bulk, kind: .sync)
        }
        _ = try await queue.enqueue(jobs, epoch: 1)
        for _ in jobs {
          guard case .leased(let lease) = try await queue.lease(worker: "w", limit: 1, classes: [.bulk]) else { break }
          renewal.keep(lease) { world.violate("lost \(lease.lane)") }
        }
        (world.faults.slow, world.faults.slowest) = (1, .seconds(2))
        await renewal.run()
      }
      world.run { world.now > .seconds(1) }
      // Somebody else, who would take what has expired.
      cluster.every(.seconds(1)) { _ = try? cluster.redis.lease("other", 1, [.bulk]) }
      world.run { world.now > .seconds(300) }
      let held = cluster.redis.memory?.leases.values.filter { $0.worker == "w" } ?? []
      if held.count != 20 { world.violate("\(held.count) leases are left") }
    }
    #expect(world.violations == [])
  }

  @Test func aRevokeWaitsForABatchOfSlowJobsAndNotForAllOfThem() async {
    let world = await inWorld(2) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.work.time = { $0 * 200 }
      cluster.startScheduler()
      cluster.startWorker()
      for user in 1...600 { cluster.ledger.change(Access(lane: 10, user: Int64(user), table: 1), to: true) }
      let access = Access(lane: 10, user: 1, table: 1)
      world.run { world.now > .seconds(45) }
      if cluster.targets[1]?.granted.contains(access) != true { world.violate("there is nothing to revoke") }
      let asked = world.now
      cluster.ledger.change(access, to: false)
      cluster.run(atMost: 600, "the revoke") { cluster.targets[1]?.granted.contains(access) == false }
      if world.now - asked > .seconds(12) { world.violate("it took \((world.now - asked) / 1_000_000) s") }
      if cluster.ledger.model.unfinished.isEmpty { world.violate("nothing was left to wait for") }
    }
    #expect(world.violations == [])
  }

  @Test func resultsOutliveALongOutageOfTheLedgerAndAreWrittenOnce() async {
    let world = await inWorld(3) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.work.time = { _ in 1000 }
      cluster.startScheduler()
      cluster.startWorker()
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      cluster.run(atMost: 60, "the commit") { cluster.targets[1]?.commits == 1 }
      cluster.ledger.isUp = false
      world.after(.seconds(200)) { cluster.ledger.isUp = true }
      cluster.run(atMost: 260, "the result") { cluster.isDrained }
      if cluster.targets[1]?.commits != 1 { world.violate("the job ran twice") }
      if cluster.ledger.model.rows[1]?.attempt != 1 { world.violate("\(cluster.ledger.model.rows)") }
    }
    #expect(world.violations == [])
  }

  /// The worker has lost its lease while the ledger was away: nobody else has claimed, so its result still counts.
  @Test func aResultCountsAsLongAsNobodyElseHasClaimed() async {
    let world = await inWorld(4) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.work.time = { _ in 1000 }
      cluster.startScheduler()
      let worker = cluster.startWorker()
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      cluster.run(atMost: 60, "the commit") { cluster.targets[1]?.commits == 1 }
      worker.stop()
      cluster.redis.flush()
      world.after(.seconds(40)) { worker.goOn() }
      cluster.run(atMost: 200, "the result") { cluster.isDrained }
      if cluster.targets[1]?.commits != 1 { world.violate("the job ran twice") }
    }
    #expect(world.violations == [])
  }

  @Test func aJobThatKillsItsWorkersIsDiscardedAlone() async {
    let world = await inWorld(5) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      let deadly = Access(lane: 10, user: 5, table: 1)
      cluster.work.deadly = deadly
      cluster.startScheduler()
      for user in 1...9 { cluster.ledger.change(Access(lane: 10, user: Int64(user), table: 1), to: true) }
      cluster.every(.seconds(5)) {
        for process in cluster.processes where process.condition == .dead { cluster.forget(process) }
        if cluster.processes.count < 2 { cluster.startWorker() }
      }
      cluster.run(atMost: 1800, "the end of all jobs") { cluster.isDrained }
      for row in cluster.ledger.model.rows.values {
        let isDeadly = row.scope == deadly.scope
        if (row.state == .discarded) != isDeadly || row.attempt > 1 { world.violate("\(row)") }
      }
    }
    #expect(world.violations == [])
  }

  @Test func anOutageOfTheLedgerIsNoStall() async {
    let world = await inWorld(6) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.work.time = { _ in 2000 }
      cluster.startScheduler()
      cluster.startWorker { $0.concurrency = 1 }
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      // Again and again in the middle of the work, and once for good.
      for start in stride(from: 1, to: 60, by: 6) {
        world.after(.seconds(start)) { cluster.ledger.isUp = false }
        world.after(.seconds(start + 5)) { cluster.ledger.isUp = true }
      }
      cluster.run(atMost: 120, "the result") { cluster.isDrained }
      let row = cluster.ledger.model.rows[1]
      if row?.state != .completed || row?.stalls != 0 { world.violate("\(row as Any)") }
    }
    #expect(world.violations == [])
  }

  @Test func aJobThatEndsItsSessionEachTimeIsGivenUpAloneAndHoldsUpNoRevoke() async {
    let world = await inWorld(7) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      let breaking = Access(lane: 10, user: 50, table: 1)
      cluster.work.breaking = breaking
      for user in 1...100 { cluster.ledger.change(Access(lane: 10, user: Int64(user), table: 1), to: true) }
      cluster.startScheduler()
      cluster.startWorker()
      cluster.run(atMost: 600, "its neighbours") { cluster.ledger.model.unfinished.count == 1 }
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: false)
      cluster.run(atMost: 120, "the revoke") { cluster.ledger.model.unfinished.count == 1 }
      cluster.run(atMost: 1200, "the end of all jobs") { cluster.isDrained }
      for row in cluster.ledger.model.rows.values {
        let isBreaking = row.scope == breaking.scope
        if (row.state == .discarded) != isBreaking || !isBreaking && row.attempt > 1 { world.violate("\(row)") }
      }
    }
    #expect(world.violations == [])
  }

  /// The end of a batch does not get through: the next job of the lane waits for Redis, and not for the end of the lease.
  @Test(arguments: [true, false])
  func aLaneGoesOnAsSoonAsRedisAnswersAgain(isAway: Bool) async {
    let world = await inWorld(8) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.startScheduler()
      cluster.startWorker()
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      cluster.run(atMost: 60, "the result") { cluster.ledger.model.rows[1]?.state == .completed }
      let began = world.now
      if isAway { cluster.redis.isUp = false } else { world.faults.lostRequest = 1 }
      world.after(.seconds(1)) { (cluster.redis.isUp, world.faults.lostRequest) = (true, 0) }
      cluster.ledger.change(Access(lane: 10, user: 2, table: 1), to: true)
      cluster.run(atMost: 60, "the next job") { cluster.ledger.model.unfinished.isEmpty }
      if world.now - began > .seconds(12) { world.violate("it took \((world.now - began) / 1_000_000) s") }
    }
    #expect(world.violations == [])
  }

  @Test func aWorkspaceThatDoesNotAnswerDelaysNoOther() async {
    let world = await inWorld(9) { world in
      let cluster = SimulatedCluster(
        world, lanes: Dictionary(uniqueKeysWithValues: (1...Int64(100)).map { ($0, [$0 * 10]) }))
      cluster.ledger.syncEvery = nil
      for number in 1...99 {
        cluster.ledger.connections[Int64(number)]?.state = .stopped
        cluster.ledger.connections[Int64(number)]?.workspaceURL = SimulatedWork.silentWorkspace
      }
      cluster.targets[100]?.setStopped(true)
      cluster.startScheduler()
      cluster.startWorker()
      cluster.ledger.change(Access(lane: 1000, user: 1, table: 1), to: true)
      cluster.run(atMost: 60, "the park") { cluster.ledger.connections[100]?.state == .stopped }
      world.run { world.now > .seconds(100) }
      cluster.targets[100]?.setStopped(false)
      // As long as a probe that follows at the longest interval, and some.
      cluster.run(atMost: 35, "the wake") { cluster.isDrained }
      for _ in 1...50 {
        let next = world.now + .seconds(1)
        world.run { world.now > next }
        if world.now - cluster.ledger.lastExpiry > .seconds(5) { world.violate("expiries wait") }
      }
    }
    #expect(world.violations == [])
  }

  /// A stopped connection that only one of Redis and the ledger knows as such, or as running again, wakes all the same.
  @Test(arguments: [true, false])
  func aProcessThatDiesBetweenRedisAndLedgerDelaysNoWake(isWorker: Bool) async {
    let world = await inWorld(10) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10]])
      cluster.ledger.syncEvery = nil
      cluster.targets[1]?.setStopped(true)
      let (scheduler, worker) = (cluster.startScheduler(), cluster.startWorker())
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      func isParked() -> Bool { if case .parked = cluster.redis.memory?.phases[1] { true } else { false } }
      func isReported() -> Bool { cluster.ledger.connections[1]?.state == .stopped }
      if isWorker {
        cluster.run(atMost: 60, "the stop") { isParked() || isReported() }
        worker.kill()
        world.after(.seconds(1)) { cluster.startWorker() }
        world.run { world.now > .seconds(60) }
        cluster.targets[1]?.setStopped(false)
      } else {
        cluster.run(atMost: 60, "the park") { isParked() && isReported() }
        cluster.targets[1]?.setStopped(false)
        cluster.run(atMost: 60, "the wake") { !isParked() || !isReported() }
        scheduler.kill()
        cluster.startScheduler()
      }
      cluster.run(atMost: 100, "the job") { cluster.isDrained }
    }
    #expect(world.violations == [])
  }

  /// Neither its periodic syncs nor its sweeps, of which those of an instance that is awake go on.
  @Test(arguments: [true, false])
  func nothingPeriodicWakesASleepingInstance(isSweep: Bool) async {
    let world = await inWorld(12) { world in
      let cluster = SimulatedCluster(world, lanes: [1: [10, 11], 2: [20]])
      (cluster.ledger.syncEvery, cluster.ledger.sweepEvery) = isSweep ? (nil, .seconds(20)) : (.seconds(20), nil)
      for number in [1, 2] as [Int64] { cluster.ledger.connections[number]?.mayIdle = true }
      guard let (sleeper, other) = cluster.targets[1].flatMap({ one in cluster.targets[2].map { (one, $0) } }) else {
        return world.violate("there are no targets")
      }
      sleeper.isAsleep = true
      cluster.startScheduler()
      cluster.startWorker()
      world.run { world.now > .seconds(200) }
      if sleeper.wakeUps > 0 || sleeper.commits > 0 { world.violate("it was woken \(sleeper.wakeUps) times") }
      if other.commits < 8 { world.violate("the other was looked at \(other.commits) times") }
      // A change wakes it, and then it is looked at as well.
      cluster.ledger.change(Access(lane: 10, user: 1, table: 1), to: true)
      cluster.run(atMost: 60, "the change and what is periodic") { sleeper.wakeUps == 1 && sleeper.commits >= 3 }
    }
    #expect(world.violations == [])
  }

  /// As many a second as may be drained: the ledger does not grow for ever.
  @Test func pruningKeepsUp() async {
    let world = await inWorld(11) { world in
      let cluster = SimulatedCluster(world, lanes: [:])
      cluster.every(.seconds(1)) { cluster.ledger.oldJobs += 20_000 }
      cluster.startScheduler { $0.dutyInterval = .milliseconds(500) }
      world.run { world.now > .seconds(60) }
      if cluster.ledger.oldJobs > 40_000 { world.violate("\(cluster.ledger.oldJobs) are left") }
    }
    #expect(world.violations == [])
  }
}
