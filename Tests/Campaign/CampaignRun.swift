import Foundation
import LocalServers
import Platform

/// One campaign: everything is started, put under load, tormented by the plan of a seed, left to drain, and read.
struct CampaignRun: Sendable {
  struct Options: Sendable {
    var seconds: Int
    /// Seconds between two faults, on average.
    var gap: Double
    var seed: UInt64
    var executable: String
    var directory: String
    var withSentinels: Bool
    /// Texts in the names of the faults to inject; empty for all.
    var only: [String]
  }

  /// How long unfinished work may take once the faults are over. A worker that was cut off in a transaction holds its
  /// lane until the target ends its session, at most a minute.
  private static let drainLimit: Duration = .seconds(120)
  /// Load before the first fault, so that there is something to lose.
  private static let warmUp: Duration = .seconds(2)

  let options: Options
  let log: FaultLog

  init(_ options: Options) throws {
    self.options = options
    log = try FaultLog(path: "\(options.directory)/faults.log")
  }

  func run() async throws -> CampaignOutcome {
    let cluster = try await CampaignCluster.start(
      in: options.directory, executable: options.executable, withSentinels: options.withSentinels)
    do {
      let outcome = try await run(on: cluster)
      await cluster.stop()
      return outcome
    } catch {
      await cluster.stop()
      throw error
    }
  }

  private func run(on cluster: CampaignCluster) async throws -> CampaignOutcome {
    try await Population.settle(on: cluster)
    let revokes = RevokeWatch(cluster: cluster)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      for role in cluster.roles { group.addTask { try await cluster.processes.keepAlive(role) } }
      group.addTask { await revokes.run() }
      // The children run until they are cancelled; one that ends before has failed, and is noticed at the end.
      let outcome = try await torment(cluster, revokes)
      group.cancelAll()
      return outcome
    }
  }

  private func torment(_ cluster: CampaignCluster, _ revokes: RevokeWatch) async throws -> CampaignOutcome {
    try await Population.awaitFirstSync(on: cluster)
    var outcome = CampaignOutcome()
    let (possible, skipped) = await FaultInjection.kinds(on: cluster)
    outcome.skipped = skipped
    let kinds = possible.filter { kind in
      options.only.isEmpty || options.only.contains { kind.rawValue.contains($0) }
    }
    let lease = Double(CampaignCluster.leaseSeconds)
    let plan = FaultPlan.make(
      kinds: kinds, seconds: options.seconds, gap: options.gap, lease: lease, seed: options.seed)
    try await log.say("\(plan.count) faults under load")
    let load = LoadSwitch()
    let produced = try await withThrowingTaskGroup(of: FlipProducer.Outcome.self) { group in
      addProducers(to: &group, cluster, revokes, load)
      try await pause(Self.warmUp)
      try await cluster.redis.rememberNow()
      try await FaultInjection(cluster: cluster, log: log).run(plan)
      load.turnOff()
      return try await group.reduce(into: FlipProducer.Outcome()) { sum, next in
        sum.requests += next.requests
        sum.desired.merge(next.desired) { $1 }
        sum.violations += next.violations
      }
    }
    outcome.requests = produced.requests
    outcome.violations += produced.violations
    outcome.readings.asked = produced.desired
    try await drain(cluster, &outcome)
    try await read(cluster, revokes, &outcome)
    return outcome
  }

  private func addProducers(
    to group: inout ThrowingTaskGroup<FlipProducer.Outcome, any Error>, _ cluster: CampaignCluster,
    _ revokes: RevokeWatch, _ load: LoadSwitch
  ) {
    let (command, directory, seed) = (cluster.command, options.directory, options.seed)
    for (number, users) in Population.flipped.enumerated() {
      let producer = FlipProducer(
        name: "producer-\(number + 1)", users: users, command: command, directory: directory, seed: seed,
        stream: 10 + number)
      group.addTask { try await producer.run(load) }
    }
    let policies = PolicyProducer(command: command, directory: directory, seed: seed, stream: 20)
    group.addTask { try await policies.run(load) }
    let doctor = DoctorRounds(command: command)
    group.addTask { try await doctor.run(load) }
    for (number, user) in Population.witnesses.enumerated() {
      let witness = Witness(user: user, command: command, revokes: revokes, seed: seed, stream: 30 + number)
      group.addTask { try await witness.run(load) }
    }
  }

  private func drain(_ cluster: CampaignCluster, _ outcome: inout CampaignOutcome) async throws {
    try await log.say("faults are over; draining")
    // A sync that comes due between the end of the drain and the reading would be work that is not done.
    for (name, _) in Population.connections {
      try await cluster.command.untilDone(["connection", "update", name, "--sync-every", "24h"])
    }
    let began = ContinuousClock.now
    let hasDrained = try await holds(within: Self.drainLimit, every: .milliseconds(200)) {
      let open = try await cluster.withAdmin(cluster.metadata, "sluice") { session in
        try await session.query("select count(*) as jobs from job where finished_at is null").rows[0].int("jobs")
      }
      guard open == 0 else { return false }
      let queue = try await self.queue(cluster)
      return queue.waiting + queue.leased + queue.delayed == 0
    }
    outcome.drainSeconds = began.duration(to: .now).inSeconds
    if !hasDrained { outcome.violations.append(Violation(.drainsInTime, "not within \(Self.drainLimit)")) }
    try await log.say(hasDrained ? "drained" : "not drained")
  }

  private func queue(_ cluster: CampaignCluster) async throws -> QueueReading {
    let answer = try await cluster.command.untilDone(["queue", "stats", "-o", "json"])
    return try JSONDecoder().decode(QueueReading.self, from: Data(answer.output.utf8))
  }

  private func read(
    _ cluster: CampaignCluster, _ revokes: RevokeWatch, _ outcome: inout CampaignOutcome
  ) async throws {
    outcome.readings.queue = try await queue(cluster)
    outcome.readings.queue.keys = Int(try await cluster.redis.primary().command("DBSIZE"))
    outcome.readings = try await outcome.readings.again(from: cluster)
    outcome.violations += CampaignChecks.violations(in: outcome.readings)
    outcome.violations += await revokes.violations
    outcome.looks = await revokes.looks
    outcome.violations += await cluster.processes.surprises.map { Violation(.processesLive, $0) }
    let plan = try await cluster.command.run(["plan"])
    if !plan.status.isSuccess { outcome.violations.append(Violation(.planIsEmpty, "\(plan)")) }
    outcome.violations += try await DoctorRounds(command: cluster.command).finalViolations()
    outcome.faults = await log.entries
    outcome.starts = await cluster.processes.starts
    outcome.failures = await cluster.command.failures.counts
    outcome.violations += await cluster.command.failures.crashes.map { Violation(.processesLive, $0) }
    // Last of all, and only where there is nothing to preserve.
    if outcome.violations.isEmpty { outcome.violations = try await Sabotage.unnoticed(on: cluster, outcome.readings) }
  }
}
