import JobQueue
import Metadata
import Platform
import ServiceLifecycle
import SluiceTestKit
import Testing

/// Targets that stop, and workers that end.
@Suite(.timeLimit(.minutes(5)))
struct OutageTests {
  @Test func aTargetThatIsDownParksItsConnectionAndSpendsNoAttempt() async throws {
    let server = try await TestServer.start()
    try await ClusterBench.run(targetServer: server) { cluster in
      let ana = try await cluster.bench.makeSales()
      let connection = cluster.bench.connection.id
      try await cluster.running([cluster.scheduler(), cluster.worker()]) {
        await server.postgres.stop(.immediate)
        let jobs = try await cluster.bench.subscribe(ana, to: ["sales.orders", "sales.items"])
        try await cluster.wait("the connection did not park") {
          try await cluster.metadata.read { try await $0.connection(id: connection) }.state == .unhealthy
        }
        for job in jobs {
          let waiting = try await cluster.bench.job(job.id)
          #expect(waiting.state == .available && waiting.attempt == 0)
        }
        try await server.postgres.start()
        try await cluster.waitForAll()
        #expect(try await cluster.bench.job(jobs[0].id).state == .completed)
        #expect(try await cluster.bench.metadata.read { try await $0.attempts(of: jobs[0].id) }.count == 1)
        #expect(try await cluster.metadata.read { try await $0.connection(id: connection) }.state == .active)
      }
      #expect(try await cluster.target.canRead(ana, "sales.orders"))
    }
    await server.postgres.stop(.immediate)
  }

  @Test func aTargetThatCrashesInTheMiddleCostsNoJob() async throws {
    let server = try await TestServer.start()
    try await ClusterBench.run(targetServer: server) { cluster in
      let users = try await cluster.submitMany(tables: 40, users: 3)
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.wait("nothing was done") {
          try await cluster.count("select count(*) as n from job where state = 'completed' and kind = 'subscribe'")
            >= 20
        }
        try await server.postgres.kill()
        try await server.postgres.start()
        try await cluster.waitForAll()
      }
      #expect(try await cluster.states()["subscribe completed"] == 120)
      for user in users { #expect(try await cluster.target.canRead(user, "sales.t39")) }
    }
    await server.postgres.stop(.immediate)
  }

  @Test func aStoppedTargetHoldsUpNoOther() async throws {
    let server = try await TestServer.start()
    try await ClusterBench.run(targetServer: server) { down in
      _ = try await down.bench.makeSales()
      await server.postgres.stop(.immediate)
      let target = try await TestTarget.make()
      try await target.createSchema("sales")
      try await target.createTables(["sales.orders"])
      let other = try await down.metadata.transaction {
        try await $0.insert(target.connection(), secret: Secret(""), key: down.bench.key)
      }
      try await down.running([down.scheduler(), down.worker { $0.concurrency = 1 }]) {
        try await down.bench.subscribe("\(down.target.prefix)_ana", to: ["sales.orders"])
        let sync = try await down.metadata.transaction { try await $0.submitSync(of: other.id) }
        try await down.wait("the other target was not synced") {
          try await down.bench.job(sync.id).state == .completed
        }
        try await server.postgres.start()
        try await down.waitForAll()
      }
      try await target.remove()
    }
    await server.postgres.stop(.immediate)
  }

  @Test func aCancelledWorkerGivesItsJobsBackUncounted() async throws {
    try await ClusterBench.run { cluster in
      let ana = try await cluster.bench.makeSales()
      let blocker = try await cluster.target.server.admin(cluster.target.database)
      // The lock that a run in a database holds: "SLUI" in ASCII, and 2.
      try await blocker.execute("begin; select pg_advisory_xact_lock(\(0x534C_5549), 2)")
      let job = try await cluster.bench.subscribe(ana, to: ["sales.orders"])[0]
      try await cluster.running([cluster.scheduler(), cluster.worker("first")]) {
        try await cluster.wait("the job did not start") { try await cluster.bench.job(job.id).state == .running }
      }
      let returned = try await cluster.bench.job(job.id)
      #expect(returned.state == .available && returned.attempt == 0 && returned.stalls == 0)
      try await blocker.execute("commit")
      await blocker.close()
      try await cluster.running([cluster.scheduler(), cluster.worker("second")]) { try await cluster.waitForAll() }
      let done = try await cluster.bench.job(job.id)
      #expect(done.state == .completed && done.worker == "second" && done.stalls == 0)
    }
  }

  @Test func aGracefulShutdownLetsTheBatchEnd() async throws {
    try await ClusterBench.run { cluster in
      let ana = try await cluster.bench.makeSales()
      let blocker = try await cluster.target.server.admin(cluster.target.database)
      try await blocker.execute("begin; select pg_advisory_xact_lock(\(0x534C_5549), 2)")
      let job = try await cluster.bench.subscribe(ana, to: ["sales.orders"])[0]
      let group = ServiceGroup(services: [cluster.worker()], logger: Bench.quiet)
      try await cluster.running([cluster.scheduler()]) {
        async let ended: Void = group.run()
        try await cluster.wait("the job did not start") { try await cluster.bench.job(job.id).state == .running }
        await group.triggerGracefulShutdown()
        try await blocker.execute("commit")
        try await ended
      }
      await blocker.close()
      #expect(try await cluster.bench.job(job.id).state == .completed)
    }
  }

  /// As by a worker that was cut off in the middle of its transaction.
  @Test func aLaneWhoseLockIsHeldParksAloneAndSpendsNoAttempt() async throws {
    try await ClusterBench.run(lockTimeout: .milliseconds(200)) { cluster in
      let other = cluster.target.otherDatabase
      try await cluster.target.createSchema("hr", in: other)
      try await cluster.target.createTables(["hr.people"], in: other)
      let ana = try await cluster.bench.makeSales()
      let blocker = try await cluster.target.server.admin(cluster.target.database)
      try await blocker.execute("begin; select pg_advisory_xact_lock(\(0x534C_5549), 2)")
      let held = try await cluster.bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.concurrency = 1 }]) {
        try await cluster.wait("the lane did not park twice") {
          guard try await cluster.queue.epoch() != nil else { return false }
          return try await cluster.queue.stats().totals.returned >= 2 * held.count
        }
        let free = try await cluster.bench.subscribe(ana, to: ["hr.people"], in: other)[0]
        try await cluster.wait("the other lane waits too") {
          try await cluster.bench.job(free.id).state == .completed
        }
        for job in held { #expect(try await cluster.bench.job(job.id).attempt == 0) }
        try await blocker.execute("commit")
        try await cluster.waitForAll()
      }
      await blocker.close()
      for job in held { #expect(try await cluster.bench.job(job.id).state == .completed) }
    }
  }

  @Test func aDatabaseThatIsGoneDiscardsItsJobsAndSyncsTheConnection() async throws {
    try await ClusterBench.run { cluster in
      let other = cluster.target.otherDatabase
      try await cluster.target.createSchema("hr", in: other)
      try await cluster.target.createTables(["hr.people"], in: other)
      let ana = try await cluster.bench.makeSales()
      try await cluster.target.server.dropDatabase(other)
      let job = try await cluster.bench.subscribe(ana, to: ["hr.people"], in: other)[0]
      try await cluster.running([cluster.scheduler(), cluster.worker()]) { try await cluster.waitForAll() }
      #expect(try await cluster.bench.job(job.id).state == .discarded)
      await #expect(throws: MetadataError.self) {
        try await cluster.metadata.read {
          try await $0.securable(at: try cluster.bench.path("hr", "people", in: other))
        }
      }
    }
  }

  @Test func aConnectionWhoseDatabaseIsGoneCanStillBeDeleted() async throws {
    try await ClusterBench.run { cluster in
      let other = cluster.target.otherDatabase
      try await cluster.target.createSchema("hr", in: other)
      try await cluster.target.createTables(["hr.people"], in: other)
      let ana = try await cluster.bench.makeSales()
      try await cluster.bench.subscribe(ana, to: ["hr.people"], in: other)
      try await cluster.bench.drain()
      try await cluster.target.server.dropDatabase(other)
      let id = cluster.bench.connection.id
      try await cluster.running([cluster.scheduler(), cluster.worker()]) {
        try await cluster.metadata.transaction { session in
          try await session.setState(of: id, to: .deleting, reason: "a test")
          _ = try await session.submitLeave(of: id)
        }
        try await cluster.wait("the connection was not deleted") {
          try await cluster.metadata.read { try await $0.connection(id: id) }.state == .deleted
        }
      }
      #expect(try await cluster.target.roleExists(ana) == false)
    }
  }

  @Test func aDatabaseThatRefusesUsHoldsUpNoOther() async throws {
    try await ClusterBench.run { cluster in
      let other = cluster.target.otherDatabase
      try await cluster.target.createSchema("hr", in: other)
      try await cluster.target.createTables(["hr.people"], in: other)
      let ana = try await cluster.bench.makeSales()
      try await cluster.target.execute("revoke connect on database \(other) from \(cluster.target.manager) cascade")
      let refused = try await cluster.bench.subscribe(ana, to: ["hr.people"], in: other)[0]
      let good = try await cluster.bench.subscribe(ana, to: ["sales.orders"])[0]
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.concurrency = 1 }]) {
        try await cluster.waitForAll()
      }
      #expect(try await cluster.bench.job(good.id).state == .completed)
      let discarded = try await cluster.bench.job(refused.id)
      #expect(discarded.state == .discarded && discarded.remedy?.contains("CONNECT") == true)
      #expect(
        try await cluster.metadata.read { try await $0.connection(id: cluster.bench.connection.id) }.state == .active)
    }
  }
}
