import Foundation
import Glibc
import LocalServers
import Platform

/// Carries out a plan: the faults of each part one after another, the parts side by side.
struct FaultInjection: Sendable {
  let cluster: CampaignCluster
  let log: FaultLog
  /// How long a server stays away beside what its fault says, and how long a new primary may take to be chosen.
  private static let failoverLimit: Duration = .seconds(30)

  /// The kinds that this place permits, and why the others are left out.
  static func kinds(on cluster: CampaignCluster) async -> (possible: [FaultKind], skipped: [String]) {
    var possible = FaultKind.allCases
    var skipped: [String] = []
    func skip(_ kind: FaultKind, _ reason: String) {
      possible.removeAll { $0 == kind }
      skipped.append("\(kind.rawValue): \(reason)")
    }
    if !cluster.redis.isWatched {
      for kind in [FaultKind.redisFailedOver, .redisTailLost] { skip(kind, "there are no sentinels (--no-sentinels)") }
    }
    if let network = cluster.network {
      if await !network.canDelay { skip(.networkDelayed, "the kernel has no netem") }
    } else {
      let reason = "it needs root and a network namespace of the campaign's own, as ops/campaign gives it"
      skip(.networkCut, reason)
      skip(.networkDelayed, reason)
    }
    return (possible, skipped)
  }

  func run(_ plan: [Fault]) async throws {
    let began = ContinuousClock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for part in FaultKind.Part.allCases {
        group.addTask {
          for fault in plan where fault.kind.part == part {
            try await pause(ContinuousClock.now.duration(to: began.advanced(by: fault.at)))
            try await inject(fault)
          }
        }
      }
      try await group.waitForAll()
    }
  }

  private func inject(_ fault: Fault) async throws {
    switch fault.kind.part {
    case .worker: try await injectProcess(fault, among: CampaignCluster.workers)
    case .scheduler: try await injectProcess(fault, among: CampaignCluster.schedulers)
    case .redis: try await injectRedis(fault)
    case .metadata: try await injectPostgres(fault, cluster.metadata, "")
    case .target:
      let names = Population.connections.map(\.name)
      let name = names[Int(fault.choice % UInt64(names.count))]
      try await injectPostgres(fault, cluster.target(name), name)
    case .network: try await injectNetwork(fault)
    }
    await log.note(fault.kind, ended: Date())
  }

  private func injectProcess(_ fault: Fault, among names: [String]) async throws {
    let name = names[Int(fault.choice % UInt64(names.count))]
    try await say(fault, name)
    switch fault.kind {
    case .workerPaused, .schedulerPaused: try await cluster.processes.suspend(name, for: fault.length)
    case .workerDrained: try await cluster.processes.signal(name, SIGTERM)
    default: try await cluster.processes.signal(name, SIGKILL)
    }
  }

  private func injectRedis(_ fault: Fault) async throws {
    let failsOver = [.redisFailedOver, .redisTailLost].contains(fault.kind)
    let primary = try await cluster.redis.primary(withReplica: failsOver)
    try await say(fault, "port \(primary.port)")
    switch fault.kind {
    case .redisFlushed: try await primary.flush()
    case .redisPaused:
      try await primary.suspend()
      try await hold(fault.length) { try await primary.resume() }
    case .redisFailedOver: try await failOver(from: primary)
    case .redisTailLost:
      let replicas = cluster.redis.nodes.filter { $0.port != primary.port }
      for replica in replicas { try await replica.suspend() }
      try await hold(fault.length) {
        await primary.kill()
        for replica in replicas { try await replica.resume() }
      }
      try await failOver(from: primary)
    default:
      await primary.kill()
      if fault.kind == .redisEmptied { try cluster.redis.forget(primary) }
      if fault.kind == .redisAged { try await cluster.redis.restoreOld(primary) }
      try await hold(fault.length) { try await primary.start() }
    }
  }

  /// Kills it, and brings it back once another is the primary.
  private func failOver(from primary: PrivateRedis) async throws {
    await primary.kill()
    let hasFollowed = try await holds(within: Self.failoverLimit) {
      try await cluster.redis.primaryPort() != primary.port
    }
    guard hasFollowed else { throw CampaignError("the sentinels chose no new primary in \(Self.failoverLimit)") }
    try await primary.start()
  }

  private func injectPostgres(_ fault: Fault, _ server: PrivatePostgres, _ name: String) async throws {
    try await say(fault, name)
    switch fault.kind {
    case .metadataPaused, .targetPaused:
      try await server.suspend()
      return try await hold(fault.length) { try await server.resume() }
    case .metadataSessionsEnded, .targetSessionsEnded: return try await endSessions(server)
    case .metadataAborted: await server.stop(.immediate)
    case .metadataKilled, .targetKilled: try await server.kill()
    default: await server.stop(.fast)
    }
    try await hold(fault.length) { try await server.start() }
  }

  private func endSessions(_ server: PrivatePostgres) async throws {
    try await cluster.withAdmin(server, "postgres") { admin in
      try await admin.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [.text(CampaignCluster.user)])
    }
  }

  private func injectNetwork(_ fault: Fault) async throws {
    guard let network = cluster.network else { return }
    try await say(fault, CampaignCluster.farWorker)
    if fault.kind == .networkCut {
      try await network.cut()
      try await hold(fault.length) { try await network.mend() }
    } else {
      try await network.delay()
      try await hold(fault.length) { try await network.hurry() }
    }
  }

  /// The fault lasts, then ends.
  private func hold(_ length: Duration, _ end: () async throws -> Void) async throws {
    try await pause(length)
    try await end()
  }

  private func say(_ fault: Fault, _ subject: String) async throws {
    let length = fault.length > .zero ? String(format: " for %.1f s", fault.length.inSeconds) : ""
    try await log.say(fault.kind.rawValue + (subject.isEmpty ? "" : " (\(subject))") + length)
  }
}
