import JobQueue
import Metadata
import Platform
import Redis
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(5)))
struct ClusterTests {
  @Test func aSubmittedSubscriptionReachesTheTarget() async throws {
    try await ClusterBench.run { cluster in
      let ana = try await cluster.bench.makeSales()
      try await cluster.running([cluster.scheduler(), cluster.worker()]) {
        let jobs = try await cluster.bench.subscribe(ana, to: ["sales.orders"])
        try await cluster.waitForAll()
        #expect(try await cluster.bench.job(jobs[0].id).state == .completed)
        #expect(try await cluster.target.canRead(ana, "sales.orders"))
      }
    }
  }

  @Test func severalWorkersAndSchedulersDoEachJobOnce() async throws {
    try await ClusterBench.run { cluster in
      let users = try await cluster.submitMany(tables: 30, users: 5)
      let services = (0..<3).map { number in cluster.worker("w\(number)") { $0.batchSize = 7 } }
      try await cluster.running([cluster.scheduler("a"), cluster.scheduler("b")] + services) {
        try await cluster.waitForAll()
      }
      #expect(try await cluster.states()["subscribe completed"] == 150)
      #expect(try await cluster.miscountedJobs() == 0)
      for user in users { #expect(try await cluster.target.canRead(user, "sales.t29")) }
    }
  }

  @Test func aRedisThatForgetsEverythingCostsNoJob() async throws {
    try await ClusterBench.run { cluster in
      let users = try await cluster.submitMany(tables: 60, users: 5)
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.wait("nothing was done") {
          try await cluster.count("select count(*) as n from job where state = 'completed' and kind = 'subscribe'")
            >= 50
        }
        try await cluster.redis.flush()
        try await cluster.waitForAll()
      }
      #expect(try await cluster.states()["subscribe completed"] == 300)
      #expect(try await cluster.metadata.read { try await $0.queueState().epoch } > 1)
      for user in users { #expect(try await cluster.target.canRead(user, "sales.t59")) }
    }
  }

  /// Each of them notices the loss, and each enqueues what the others have just marked.
  @Test func schedulersThatFillAnEmptyRedisTogetherLeaveNothingOut() async throws {
    try await ClusterBench.run { cluster in
      _ = try await cluster.submitMany(tables: 40, users: 3)
      // Jobs that set the scene have ended without Redis, but are still to be told; only what an epoch brings counts.
      _ = try await cluster.metadata.read { try await $0.connection.execute("delete from outbox") }
      // Each by a connection of its own: those that may not begin an epoch give theirs up.
      let redis = RedisConfiguration(host: "127.0.0.1", port: cluster.redis.port)
      let schedulers = (0..<4).map { cluster.scheduler("s\($0)", on: cluster.queue(on: redis, leases: false)) }
      try await cluster.running(schedulers) {
        for _ in 0..<12 {
          try await cluster.redis.flush()
          try await cluster.wait("Redis does not know all jobs") {
            try await cluster.waiting() == 120
          }
        }
      }
    }
  }

  @Test func aRedisThatRestartsEmptyCostsNoJob() async throws {
    try await ClusterBench.run { cluster in
      _ = try await cluster.submitMany(tables: 40, users: 3)
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.wait("nothing was done") {
          try await cluster.count("select count(*) as n from job where state = 'completed' and kind = 'subscribe'")
            >= 20
        }
        await cluster.redis.kill()
        try await cluster.redis.start()
        try await cluster.waitForAll()
      }
      #expect(try await cluster.states()["subscribe completed"] == 120)
    }
  }

  @Test func aMetadataServerThatCrashesCostsNoJobAndDoublesNone() async throws {
    let server = try await TestServer.start()
    try await ClusterBench.run(metadataServer: server) { cluster in
      _ = try await cluster.submitMany(tables: 60, users: 5)
      try await cluster.running([cluster.scheduler(), cluster.worker { $0.batchSize = 10 }]) {
        try await cluster.wait("nothing was done") {
          try await cluster.count("select count(*) as n from job where state = 'completed' and kind = 'subscribe'")
            >= 50
        }
        try await server.postgres.kill()
        try await server.postgres.start()
        try await cluster.waitForAll()
      }
      #expect(try await cluster.states()["subscribe completed"] == 300)
      #expect(try await cluster.miscountedJobs() == 0)
    }
    await server.postgres.stop(.immediate)
  }

  @Test func aSyncThatSomebodyWaitsForOvertakesTheBulk() async throws {
    try await ClusterBench.run { cluster in
      _ = try await cluster.metadata.read { try await $0.connection.execute("delete from outbox") }
      let lane = try await cluster.metadata.read { try await $0.lane(.roles, of: cluster.bench.connection.id).id }
      @Sendable func submit(_ jobClass: JobClass, _ scopes: [JobScope]) async throws -> [Int64] {
        try await cluster.metadata.transaction { session in
          try await session.submit(
            scopes.map { JobRequest(lane: lane, kind: .sync, jobClass: jobClass, scope: $0) })
        }.map(\.id)
      }
      _ = try await submit(.bulk, (1...20).map { .relation($0) })
      let sync = try await submit(.bulk, [.connection])[0]
      try await cluster.running([cluster.scheduler()]) {
        try await cluster.wait("Redis does not know all jobs") { try await cluster.waiting() ?? 0 >= 21 }
        #expect(try await submit(.interactive, [.connection]) == [sync])
        try await cluster.wait("Redis was not told") { try await cluster.waiting() ?? 0 >= 22 }
        #expect(try await cluster.lease(as: "w", of: sync).jobs.first == sync)
      }
    }
  }

  @Test func aWorkerThatStallsIsReplacedAndItsResultsAreRefused() async throws {
    try await ClusterBench.run(leaseTTL: .seconds(1)) { cluster in
      let ana = try await cluster.bench.makeSales()
      let job = try await cluster.bench.subscribe(ana, to: ["sales.orders"])[0]
      try await cluster.running([cluster.scheduler()]) {
        let lease = try await cluster.lease(as: "stalled", of: job.id)
        _ = try await cluster.metadata.transaction {
          try await $0.claim(lease.jobs, fence: lease.fence, worker: "stalled")
        }
        try await cluster.running([cluster.worker("second")]) { try await cluster.waitForAll() }
        let late = try await cluster.metadata.transaction {
          try await $0.settle([JobResult(id: job.id, outcome: .discarded)], fence: lease.fence)
        }
        #expect(late == [:])
        let error = await #expect(throws: JobQueueError.self) {
          try await cluster.queue.settle(lease, [job.id: .done(.discarded)])
        }
        #expect(error?.code == .fenced)
      }
      let stored = try await cluster.bench.job(job.id)
      #expect(stored.state == .completed && stored.worker == "second" && stored.stalls >= 1)
    }
  }
}

extension ClusterBench {
  /// Completed jobs with another number of attempts than their failures and the one that ended them: a result was
  /// written twice, or lost.
  func miscountedJobs() async throws -> Int {
    try await count(
      """
      select count(*) as n from job j
      where state = 'completed' and attempt <> 1 + (
        select count(*) from job_attempt a where a.job_id = j.id and a.outcome = 'retryable')
      """)
  }

  /// Nil while Redis knows nothing, or a scheduler looks for another one by the connection that it shares with the test.
  func waiting() async throws -> Int? {
    do throws(JobQueueError) {
      return try await queue.stats().waitingTotal
    } catch {
      guard error.code == .epochLost || error.code == .unavailable else { throw error }
      return nil
    }
  }

  /// Takes the first lane that is due.
  func lease(as worker: String) async throws -> Lease {
    let limit = Deadline.after(Self.patience)
    while !limit.hasPassed {
      do {
        if case .leased(let lease) = try await queue.lease(worker: worker, limit: 100) { return lease }
      } catch let error where error.code == .epochLost {
        // The scheduler is about to fill the queue.
      }
      await queue.waitForWork(atMost: .milliseconds(100))
    }
    throw NeverHappened(description: "nothing was leased")
  }

  /// Takes the lane of a job; what is due before it comes back later, such as what the bench ran by itself.
  func lease(as worker: String, of job: Int64) async throws -> Lease {
    while true {
      let lease = try await lease(as: worker)
      if lease.jobs.contains(job) { return lease }
      let later = lease.jobs.map { ($0, Settlement.again(after: .seconds(1))) }
      try await queue.settle(lease, Dictionary(uniqueKeysWithValues: later))
    }
  }
}
