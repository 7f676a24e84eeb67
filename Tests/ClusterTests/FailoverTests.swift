import Cluster
import JobQueue
import Metadata
import Platform
import Redis
import RedisTestKit
import ServiceLifecycle
import SluiceTestKit
import Testing

/// Redis and the metadata database give way to others, or come back older than they were, while jobs are in flight:
/// everything unfinished runs, nothing that has ended begins again, and the fences of a job only rise.
@Suite(.timeLimit(.minutes(5)))
struct FailoverTests {
  @Test func replicaThatLacksTheLastWritesTakesOver() async throws {
    try await WatchedRedis.run { watched async throws in
      try await ClusterBench.run(queueOn: watched.configuration()) { cluster in
        let users = try await cluster.submitMany(tables: 60, users: 5)
        try await cluster.noteTransitions()
        let workers = (0..<2).map { number in
          cluster.worker("w\(number)", on: cluster.queue(on: watched.configuration(), leases: true)) {
            $0.batchSize = 10
          }
        }
        let processes: [any Service] = [cluster.scheduler("a"), cluster.scheduler("b")] + workers
        try await cluster.running(processes) {
          try await cluster.waitForSome(40)
          try watched.cutOffReplica()
          try await cluster.waitForSome(100)
          watched.servers[0].freeze()
          watched.servers[1].thaw()
          try await cluster.waitForAll()
          watched.servers[0].thaw()
        }
        try await cluster.expectSound(subscriptions: 300)
        #expect(try watched.primary(by: watched.sentinels[0])?.port == watched.servers[1].port)
        #expect(try await cluster.epoch() > 2)
        for user in users { #expect(try await cluster.target.canRead(user, "sales.t59")) }
      }
    }
  }

  /// What was enqueued and settled since then is unknown to it; what was settled waits again, and its fences come again.
  @Test(arguments: [false, true]) func redisComesBackAnHourOlder(appendOnly: Bool) async throws {
    try await ClusterBench.run(appendOnly: appendOnly) { cluster in
      _ = try await cluster.submitMany(tables: 60, users: 5)
      try await cluster.noteTransitions()
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.waitForSome(40)
        let files = try await RedisFiles(of: cluster.redis)
        try await cluster.waitForSome(120)
        await cluster.redis.kill()
        try files.putBack()
        try await cluster.redis.start()
        try await cluster.waitForAll()
        try await cluster.waitForEmptyQueue()
      }
      try await cluster.expectSound(subscriptions: 300)
    }
  }

  @Test(arguments: [false, true]) func redisRestarts(appendOnly: Bool) async throws {
    try await ClusterBench.run(appendOnly: appendOnly) { cluster in
      _ = try await cluster.submitMany(tables: 40, users: 5)
      try await cluster.noteTransitions()
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        for count in [30, 90] {
          try await cluster.waitForSome(count)
          await cluster.redis.kill()
          try await cluster.redis.start()
        }
        try await cluster.waitForAll()
        try await cluster.waitForEmptyQueue()
      }
      try await cluster.expectSound(subscriptions: 200)
    }
  }

  @Test func standbyOfTheMetadataDatabaseTakesOver() async throws {
    let primary = try await TestServer.start()
    let standby = try await primary.startStandby()
    try await ClusterBench.run(metadataServer: primary, metadataStandby: standby) { cluster in
      _ = try await cluster.submitMany(tables: 60, users: 5)
      try await cluster.noteTransitions()
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.waitForSome(50)
        let epoch = try await cluster.epoch()
        try await primary.postgres.kill()
        try await standby.promote()
        try await cluster.waitForAll()
        // What the standby might not know of the last results, Redis has forgotten: it is filled again.
        #expect(try await cluster.epoch() > epoch)
      }
      try await cluster.expectSound(subscriptions: 300)
    }
    await standby.postgres.stop(.immediate)
  }

  /// Two primaries, each reached by a scheduler and a worker: the queue is on one of them.
  @Test func twoPrimariesHoldOneQueue() async throws {
    try await WatchedRedis.run(.withoutSentinels) { watched async throws in
      let places = watched.servers.map(\.configuration)
      try await ClusterBench.run(queueOn: places[0]) { cluster in
        _ = try await cluster.submitMany(tables: 60, users: 5)
        try await cluster.noteTransitions()
        let workers = places.enumerated().map { number, place in
          cluster.worker("w\(number)", on: cluster.queue(on: place, leases: true)) { $0.batchSize = 10 }
        }
        let schedulers = places.map { cluster.scheduler(on: cluster.queue(on: $0, leases: false)) }
        // Ends before the others, which go on without it.
        let first = Task { try await schedulers[0].run() }
        try await cluster.running([workers[0]]) {
          try await cluster.waitForSome(30)
          let epoch = try await cluster.epoch()
          try watched.ask(watched.servers[1], ["REPLICAOF", "NO", "ONE"])
          try await cluster.running([schedulers[1], workers[1]]) {
            try await cluster.waitForSome(100)
            #expect(try await cluster.epoch() == epoch, "the second server took the queue from the first")
            first.cancel()
            try await first.value
            try await cluster.waitForAll()
            #expect(try await cluster.epoch() == epoch + 1, "the queue went back and forth")
          }
        }
        try await cluster.expectSound(subscriptions: 300)
      }
    }
  }
}
