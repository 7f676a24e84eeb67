import Enforcement
import JobQueue
import Metadata
import Platform
import Redis
import SluiceTestKit
import Testing

/// The operators' rules on their way from the metadata database into Redis, and what workers say of themselves.
@Suite(.timeLimit(.minutes(5)))
struct QueueRuleTests {
  private static func rolesLane(_ cluster: ClusterBench) async throws -> Int64 {
    try await cluster.metadata.read { try await $0.lane(.roles, of: cluster.bench.connection.id).id }
  }

  private static func flush(_ cluster: ClusterBench) async throws {
    let client = RedisClient(
      configuration: RedisConfiguration(host: "127.0.0.1", port: cluster.redis.port), logger: Bench.quiet)
    _ = try await client.send(["FLUSHALL"])
    await client.close()
  }

  /// Between two polls, although a scheduler does not ask Redis then what it knows.
  @Test func aSchedulerBringsEveryChangeToRedis() async throws {
    try await ClusterBench.run { cluster in
      try await cluster.running([cluster.scheduler(outboxPoll: .seconds(3600))]) {
        let lane = try await Self.rolesLane(cluster)
        _ = try await cluster.metadata.transaction { try await $0.pause(lane: lane, by: "ana") }
        _ = try await cluster.metadata.transaction {
          try await $0.setWeight(3, ofConnection: cluster.bench.connection.id)
        }
        try await cluster.wait("the rules did not reach Redis") { try await cluster.queue.rulesVersion() == 3 }
        let rules = try await cluster.queue.stats().rules
        #expect(rules.lanes.filter(\.value.isPaused).map(\.key.lane) == [lane])
        #expect(rules.connections[cluster.bench.connection.id]?.weight == 3)
      }
    }
  }

  /// A worker leases all the time: it would find the lane in the moment in which Redis knows of no pause.
  @Test func aPauseOutlivesARedisThatLosesItsMemory() async throws {
    try await ClusterBench.run { cluster in
      let user = try await cluster.bench.makeSales()
      let lane = try await Self.rolesLane(cluster)
      _ = try await cluster.metadata.transaction { try await $0.pause(lane: lane, by: "ana") }
      try await cluster.running([cluster.scheduler(), cluster.worker()]) {
        let sync = try await cluster.metadata.transaction {
          try await $0.submitSync(of: cluster.bench.connection.id)
        }
        for _ in 0..<10 {
          try await Self.flush(cluster)
          try await cluster.wait("the queue was not filled again") {
            guard try await cluster.queue.epoch() != nil else { return false }
            return try await cluster.queue.stats().waitingTotal > 0
          }
          #expect(try await cluster.bench.job(sync.id).state == .available)
        }
        try await cluster.bench.subscribe(user, to: ["sales.orders"])
        try await cluster.wait("the lane that is not paused stood still") {
          try await cluster.count("select count(*) as n from job where kind = 'subscribe' and state = 'completed'") > 0
        }
        #expect(try await cluster.bench.job(sync.id).state == .available)
        _ = try await cluster.metadata.transaction { try await $0.resume(lane: lane) }
        try await cluster.waitForAll()
      }
    }
  }

  @Test func aWorkerIsHeardOfUntilItEnds() async throws {
    try await ClusterBench.run { cluster in
      let beat = WorkerBeat(
        name: "w", host: "machine", processID: 17, startedAt: "2026-01-01T00:00:00Z", version: "1", concurrency: 4,
        classes: ["revoke"], intervalSeconds: 0.05)
      let progress = JobProgress()
      let worker = cluster.worker("w") {
        $0.beat = beat
        $0.progress = progress
      }
      try await cluster.running([cluster.scheduler(), worker]) {
        for told in [[:], ["17": "4 relations found"]] {
          for (job, text) in told { progress.note(try #require(Int64(job)), text) }
          var expected = beat
          expected.progress = told
          try await cluster.wait("the worker was not heard of") { [expected] in
            guard try await cluster.queue.epoch() != nil else { return false }
            return try await cluster.queue.workers().map(\.beat) == [expected]
          }
        }
      }
      #expect(try await cluster.queue.workers().isEmpty)
    }
  }
}
