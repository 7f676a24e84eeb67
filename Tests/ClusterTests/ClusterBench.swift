import Cluster
import Enforcement
import Foundation
import Glibc
import JobQueue
import LocalServers
import Logging
import Metadata
import Platform
import Redis
import ServiceLifecycle
import SluiceTestKit

/// A bench with a Redis of its own, and the processes of a cluster run as services of this one.
struct ClusterBench: Sendable {
  let bench: Bench
  let redis: PrivateRedis
  let queue: LaneQueue
  var metadata: MetadataDatabase { bench.metadata }
  var target: TestTarget { bench.target }

  /// How long a test waits for what must happen; a busy machine is slow.
  static let patience: Duration = .seconds(60)

  /// - Parameters:
  ///   - appendOnly: whether Redis keeps its data over restarts
  ///   - queueOn: another Redis for the queue
  static func run(
    metadataServer: TestServer? = nil, metadataStandby: TestServer? = nil, targetServer: TestServer? = nil,
    leaseTTL: Duration = .seconds(5), lockTimeout: Duration = .seconds(5), appendOnly: Bool = false,
    queueOn other: RedisConfiguration? = nil, _ body: @Sendable (ClusterBench) async throws -> Void
  ) async throws {
    let directory = "/tmp/sluice-tests-\(getpid())-redis-\(UInt32.random(in: 0 ... .max))"
    let redis = try await PrivateRedis.start(.init(directory: directory, appendOnly: appendOnly))
    let clients = (0..<2).map { _ in
      RedisClient(
        configuration: other ?? RedisConfiguration(host: "127.0.0.1", port: redis.port), logger: Bench.quiet)
    }
    let queue = LaneQueue(
      client: clients[0], wakeClient: clients[1],
      configuration: .init(leaseTTL: leaseTTL, longestWait: .milliseconds(500)))
    do {
      try await Bench.run(
        metadataServer: metadataServer, metadataStandby: metadataStandby, targetServer: targetServer,
        lockTimeout: lockTimeout
      ) { bench in
        try await body(ClusterBench(bench: bench, redis: redis, queue: queue))
      }
      await close(redis, clients)
    } catch {
      await close(redis, clients)
      throw error
    }
  }

  private static func close(_ redis: PrivateRedis, _ clients: [RedisClient]) async {
    for client in clients { await client.close() }
    await redis.stop()
  }

  /// - Parameter queue: another way to the queue than the bench's
  func worker(
    _ name: String = "w", on queue: LaneQueue? = nil, _ change: (inout WorkerConfiguration) -> Void = { _ in }
  ) -> Worker {
    var configuration = WorkerConfiguration(name: name)
    configuration.outageBackoff = Backoff(base: .milliseconds(50), cap: .milliseconds(500))
    configuration.parkBackoff = Backoff(base: .milliseconds(100), cap: .milliseconds(500))
    change(&configuration)
    return Worker(
      configuration: configuration, queue: queue ?? self.queue, ledger: metadata, handler: bench.lanes(worker: name),
      logger: Bench.quiet)
  }

  func scheduler(_ name: String = "s", on queue: LaneQueue? = nil) -> Scheduler {
    var configuration = SchedulerConfiguration(name: name)
    configuration.outboxPoll = .milliseconds(200)
    configuration.dutyInterval = .milliseconds(200)
    configuration.firstProbe = .milliseconds(200)
    configuration.longestProbe = .seconds(1)
    configuration.outageBackoff = Backoff(base: .milliseconds(50), cap: .milliseconds(500))
    return Scheduler(
      configuration: configuration, queue: queue ?? self.queue, ledger: metadata,
      instanceState: { [targets = bench.targets] in try await targets.instanceState(of: $0) }, logger: Bench.quiet)
  }

  /// Runs services while `body` runs, and cancels them after it.
  func running<Value: Sendable>(
    _ services: [any Service], _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for service in services { group.addTask { try await service.run() } }
      let value = try await body()
      group.cancelAll()
      try await group.waitForAll()
      return value
    }
  }
}

// Waiting.
extension ClusterBench {
  struct NeverHappened: Error, CustomStringConvertible {
    let description: String
  }

  /// Returns once `condition` holds; looks after each announcement of a result, and now and then.
  func wait(_ what: String, until condition: @Sendable () async throws -> Bool) async throws {
    let limit = Deadline.after(Self.patience)
    while try await !condition() {
      guard !limit.hasPassed else { throw NeverHappened(description: "\(what); \(try await diagnosis())") }
      // no event: Redis, ledger and target announce nothing that a test could wait for
      try await Task.sleep(for: .milliseconds(20))
    }
  }

  /// Returns once every job has ended.
  func waitForAll(_ what: String = "not all jobs ended") async throws {
    try await wait(what) {
      try await count("select count(*) as n from job where finished_at is null") == 0
    }
  }

  func count(_ sql: String) async throws -> Int {
    try await metadata.read { Int(try await $0.connection.query(sql).rows[0].int("n")) }
  }

  /// How many jobs are in which state.
  /// Jobs by kind and state, without the comparisons that syncs submit.
  func states() async throws -> [String: Int] {
    let rows = try await metadata.read { session in
      try await session.connection.query(
        """
        select kind || ' ' || state as state, count(*) as n from job
        where scope ->> 'subject' <> 'everything' group by 1
        """
      ).rows
    }
    return Dictionary(uniqueKeysWithValues: try rows.map { (try $0.text("state"), Int(try $0.int("n"))) })
  }

  private func diagnosis() async throws -> String {
    let connections = try await metadata.read { try await $0.connections() }.map {
      "\($0.name) \($0.state) \($0.stateReason ?? "")"
    }
    let enqueued = try await count(
      """
      select count(*) as n from job j where finished_at is null
        and not exists (select from outbox o where j.id = any (o.jobs))
        and not exists (select from refill r where r.class = j.class and (r.lane_id, r.job_id) < (j.lane_id, j.id))
      """)
    return "jobs: \(try await states()), \(enqueued) of them enqueued; connections: \(connections); queue: "
      + "\(try await queue.stats())"
  }

  /// Tables `sales.t0` and on, synced, and users with subscriptions to all of them that nobody has worked yet.
  func submitMany(tables: Int, users: Int) async throws -> [String] {
    let names = (0..<tables).map { "sales.t\($0)" }
    try await target.createSchema("sales")
    try await target.createTables(names, columns: "v text")
    try await bench.sync()
    var added: [String] = []
    for number in 0..<users {
      let user = try await bench.addUser("u\(number)")
      try await bench.subscribe(user, to: names)
      added.append(user)
    }
    return added
  }
}
