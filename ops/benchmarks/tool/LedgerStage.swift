import Cluster
import Foundation
import JobQueue
import LocalServers
import Logging
import Metadata
import Platform
import Postgres
import Synchronization

/// A Redis, a PostgreSQL that syncs every commit to its disk, the ledger in it, and a scheduler in a process of its own.
struct LedgerStage: Sendable {
  let directory: String
  let redis: BenchRedis
  let postgres: PrivatePostgres
  let metadata: MetadataDatabase
  /// Lanes to work in; the first of them are of different connections.
  let lanes: [LaneID]
  let scheduler: RoleProcess

  /// As `sluice submit` sends them.
  static let producerBatch = 1000
  static let workerBatch = WorkerConfiguration(name: "").batchSize
  private static let connections = 100
  private static let lanesOfConnection = 10
  /// How long a case waits for what must happen.
  static let patience: Duration = .seconds(60)

  static func start(in directory: String) async throws -> LedgerStage {
    let redis = try await BenchRedis.start(in: "\(directory)/redis")
    let postgres = try await PrivatePostgres.start(
      .init(
        directory: "\(directory)/postgres", installation: try await .find(atLeast: 17, preferring: 17), durable: true))
    let metadata = MetadataDatabase(configuration: try Self.configuration(postgres.url()))
    let lanes = try await metadata.read { session in
      _ = try await Schema.migrator.migrate(on: session.connection)
      return try await addLanes(connections, of: lanesOfConnection, in: session)
    }
    let scheduler = try await RoleProcess.start(
      "scheduler", ["--redis-port", "\(redis.server.port)", "--metadata-url", postgres.url()],
      log: "\(directory)/scheduler.log")
    let stage = LedgerStage(
      directory: directory, redis: redis, postgres: postgres, metadata: metadata, lanes: lanes, scheduler: scheduler)
    try await stage.wait("the scheduler began no epoch") { try await redis.queue.epoch() != nil }
    return stage
  }

  static func configuration(_ url: String) throws -> PostgresConfiguration {
    try PostgresConfiguration(url: Secret(url), applicationName: "sluice-bench")
  }

  func stop() async {
    await scheduler.stop()
    await metadata.shutDown()
    await postgres.stop(.immediate)
    await redis.stop()
  }

  /// Adds connections with database lanes, as a sync would; nobody connects to them.
  private static func addLanes(
    _ connections: Int, of lanesOfConnection: Int, in session: MetadataSession
  ) async throws -> [LaneID] {
    let rows = try await session.connection.query(
      """
      with added as (
        insert into connection (name, kind, host, port, database, username, sealed_secret, sync_every, role_budget)
        select 'bench-' || gen_random_uuid(), 'postgres', '127.0.0.1', 1, 'postgres', 'nobody', '', interval '1 year',
          10000
        from generate_series(1, $1) returning id
      ), databases as (
        insert into securable (connection_id, kind, name, oid, owner)
        select id, 'database', 'd' || n, n, 'nobody' from added, generate_series(1, $2) n
        returning id, connection_id, oid
      ), lanes as (
        insert into lane (connection_id, kind, database_id) select connection_id, 'database', id from databases
        returning id, connection_id, database_id
      )
      select l.id, l.connection_id from lanes l join databases d on d.id = l.database_id order by d.oid, l.id
      """, [.int8(Int64(connections)), .int8(Int64(lanesOfConnection))]
    ).rows
    return try rows.map { LaneID(connection: try $0.int("connection_id"), lane: try $0.int("id")) }
  }

  /// Adds lanes with a waiting job each, in connections that stay parked.
  func park(lanes: Int) async throws {
    let parked = try await metadata.read {
      try await Self.addLanes(Self.connections, of: lanes / Self.connections, in: $0)
    }
    for connection in Set(parked.map(\.connection)) {
      try await redis.queue.park(connection: connection, for: .seconds(3600))
    }
    try await submit(Jobs(count: parked.count, lanes: parked))
    try await wait("not all jobs of parked lanes were enqueued") {
      try await waiting() == parked.count
    }
  }
}

// What cases do with it.
extension LedgerStage {
  /// Jobs that are all different, each with a scope of 100 bytes, spread evenly over lanes.
  struct Jobs: Sendable {
    let requests: [JobRequest]

    private static let made = Atomic<Int>(0)

    init(count: Int, lanes: [LaneID]) {
      let first = Self.made.wrappingAdd(count, ordering: .relaxed).oldValue
      requests = (0..<count).map { index in
        let number = String(first + index)
        let role = String(repeating: "b", count: 69 - number.count) + number
        return JobRequest(
          lane: lanes[index % lanes.count].lane, kind: .subscribe, jobClass: .interactive, scope: .grantee(role))
      }
    }
  }

  /// Jobs in the ledger, by number.
  struct Submitted: Sendable {
    let first: Int64
    let last: Int64
    let count: Int
    let completedBefore: Int
  }

  /// Commits jobs to the ledger by batches, as producers do.
  @discardableResult
  func submit(_ jobs: Jobs) async throws -> Submitted {
    let before = try await completed()
    var (first, last) = (Int64.max, Int64.min)
    for start in stride(from: 0, to: jobs.requests.count, by: Self.producerBatch) {
      let batch = Array(jobs.requests[start..<min(start + Self.producerBatch, jobs.requests.count)])
      let numbers = try await metadata.transaction { try await $0.submit(batch) }.map(\.id)
      first = min(first, numbers.min() ?? first)
      last = max(last, numbers.max() ?? last)
    }
    return Submitted(first: first, last: last, count: jobs.requests.count, completedBefore: before)
  }

  func waiting() async throws -> Int { try await redis.queue.stats().waiting.values.reduce(0, +) }

  /// As `stats` tells it, for a tenth of the work: whoever watches must not be what is measured.
  func completed() async throws -> Int {
    let configuration = redis.queue.configuration
    let key = "{\(configuration.prefix):\(configuration.shard)}:counters"
    return Int(try await redis.client.send(["HGET", key, "completed"]).integer ?? 0)
  }

  /// Has workers open all their connections before the first job that counts.
  func warmUp(_ lanes: [LaneID]) async throws {
    try await waitForAll(try await submit(Jobs(count: 1000, lanes: lanes)))
  }

  /// Returns once these jobs have ended. Redis is asked until it looks so, because that costs the run nothing; it counts
  /// a job twice that was handed over twice, so the ledger has the last word.
  func waitForAll(_ jobs: Submitted) async throws {
    try await wait("not all jobs settled") {
      guard try await completed() - jobs.completedBefore >= jobs.count else { return false }
      return try await metadata.read { session in
        try await session.connection.query(
          "select not exists (select from job where id between $1 and $2 and finished_at is null) as ended",
          [.int8(jobs.first), .int8(jobs.last)]
        ).rows[0].bool("ended")
      }
    }
  }

  func wait(_ failure: String, until condition: @Sendable () async throws -> Bool) async throws {
    let limit = Deadline.after(Self.patience)
    while try await !condition() {
      guard !limit.hasPassed else { throw BenchError("\(failure) within \(Self.patience)") }
      // no event: Redis tells nobody what it holds
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Runs `body` with worker processes that wait for work.
  ///
  /// - Parameter hold: how long each batch is held before it is done.
  func withWorkers<Value: Sendable>(
    _ count: Int, hold: Duration = .zero, _ body: @Sendable ([RoleProcess]) async throws -> Value
  ) async throws -> Value {
    var workers: [RoleProcess] = []
    do {
      for number in 0..<count { workers.append(try await worker(number, hold)) }
      try await wait("the workers do not wait for work") { try await redis.meter().blockedClients == count }
      let value = try await body(workers)
      for worker in workers { await worker.stop() }
      return value
    } catch {
      for worker in workers { await worker.stop() }
      throw error
    }
  }

  private func worker(_ number: Int, _ hold: Duration) async throws -> RoleProcess {
    let trace = "\(directory)/worker\(number).trace"
    // best effort: there is none before the first
    try? FileManager.default.removeItem(atPath: trace)
    return try await RoleProcess.start(
      "worker",
      [
        "--redis-port", "\(redis.server.port)", "--metadata-url", postgres.url(), "--name", "worker\(number)",
        "--hold-seconds", "\(hold.seconds)", "--trace", trace,
      ], log: "\(directory)/worker\(number).log", trace: trace)
  }
}
