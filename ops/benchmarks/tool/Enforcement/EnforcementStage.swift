import Foundation
import Governance
import LocalServers
import Metadata
import Platform
import Postgres

/// The whole product on servers of its own: Redis, a metadata database, a target and the target's twin; a scheduler and
/// workers are the built binary.
struct EnforcementStage: Sendable {
  let directory: String
  let metadata: MetadataDatabase
  let target: BenchTarget
  /// Holds what the target holds; what Sluice sends to the one, psql repeats in the other.
  let twin: BenchTarget
  let connection: Connection
  let workers: [ManagedProcess]
  private let redis: BenchRedis
  private let postgres: PrivatePostgres
  private let scheduler: ManagedProcess
  private let environment: [String: String]

  static let connectionName = "bench"
  /// How long a case waits until everything has settled.
  static let patience: Duration = .seconds(240)

  static func start(in directory: String, workers count: Int) async throws -> EnforcementStage {
    let redis = try await BenchRedis.start(in: "\(directory)/redis")
    let postgres = try await PrivatePostgres.start(
      .init(
        directory: "\(directory)/metadata", installation: try await .find(atLeast: 17, preferring: 17),
        settings: ["max_connections": "400"], durable: true))
    let metadata = MetadataDatabase(configuration: try LedgerStage.configuration(postgres.url()))
    _ = try await metadata.read { try await Schema.migrator.migrate(on: $0.connection) }
    let key = SealingKey.random()
    let keyFile = "\(directory)/key"
    guard
      FileManager.default.createFile(
        atPath: keyFile, contents: Data(key.fileText.utf8), attributes: [.posixPermissions: 0o600])
    else { throw BenchError("cannot write \(keyFile)") }
    let environment = Launch.bareEnvironment([
      "SLUICE_METADATA_URL": postgres.url(), "SLUICE_REDIS_URL": "redis://127.0.0.1:\(redis.server.port)",
      "SLUICE_SECRET_KEY_FILE": keyFile, "SLUICE_LOG_LEVEL": "warning", "SLUICE_LOG_FORMAT": "text",
    ])
    let target = try await BenchTarget.start(in: "\(directory)/target")
    let twin = try await BenchTarget.start(in: "\(directory)/twin")
    let connection = try await metadata.transaction { session in
      try await session.insert(Self.connection(to: target), secret: Secret(""), key: key)
    }
    func start(_ role: String, _ number: Int) async throws -> ManagedProcess {
      try await ManagedProcess.start(
        Launch(
          try Self.executable(), [role], environment: environment, logFile: "\(directory)/\(role)\(number).log",
          deathSignal: .kill))
    }
    let scheduler = try await start("scheduler", 0)
    var workers: [ManagedProcess] = []
    for number in 0..<count { workers.append(try await start("worker", number)) }
    return EnforcementStage(
      directory: directory, metadata: metadata, target: target, twin: twin, connection: connection, workers: workers,
      redis: redis, postgres: postgres, scheduler: scheduler, environment: environment)
  }

  private static func connection(to target: BenchTarget) -> Connection {
    var connection = Connection(
      name: connectionName, kind: .postgres, host: target.server.socketDirectory, database: BenchTarget.database,
      username: BenchTarget.manager)
    connection.port = target.server.port
    connection.tls = .disable
    // No sync and no sweep but those that a case asks for.
    connection.syncEverySeconds = 365 * 86_400
    connection.sweepEverySeconds = 0
    return connection
  }

  /// `sluice`, which was built beside this program.
  private static func executable() throws -> String {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("sluice").path
  }

  func stop() async {
    for worker in workers { await worker.stop() }
    await scheduler.stop()
    await metadata.shutDown()
    for server in [postgres, target.server, twin.server] { await server.stop(.immediate) }
    await redis.stop()
  }

  /// Runs a command of the built binary to its end.
  ///
  /// - Parameter mayRefuse: whether exit 1 is an answer, as that of `plan` is.
  @discardableResult
  func sluice(_ words: String..., mayRefuse: Bool = false) async throws -> String {
    let run = try await ToolRun.run(
      Launch(try Self.executable(), words, environment: environment), deadline: .after(Self.patience))
    guard run.status.isSuccess || (mayRefuse && run.status == .exited(1)) else {
      throw BenchError("sluice \(words.joined(separator: " ")): \(run.status)\n\(run.output.suffix(1000))")
    }
    return run.output
  }
}

// Work, and what it cost.
extension EnforcementStage {
  /// What a step of a case came to.
  struct Spent: Sendable {
    /// From the step's beginning until its last job had settled, in seconds.
    var wall = 0.0
    /// From the first of its jobs that worked in the target until the last of them.
    var applying = 0.0
    /// In which the governance lane compiled.
    var evaluating = 0.0
    var target = TargetWork()
    /// The same SQL by psql in the twin.
    var psql = 0.0
    var twin = TargetWork()
    var jobs = 0
    var failed = 0
    /// That needed more than one attempt.
    var retried = 0
  }

  /// Changes something, waits until all that it leads to has settled, and has psql repeat in the twin what was sent.
  func step(_ change: @Sendable (MetadataSession) async throws -> Void) async throws -> Spent {
    try await step(running: { try await metadata.transaction { try await change($0) } })
  }

  func step(running change: @Sendable () async throws -> Void) async throws -> Spent {
    let lastJob = try await newestJob()
    let mark = try await target.mark()
    var spent = Spent()
    let began = ContinuousClock.now
    try await change()
    try await settle()
    spent.wall = began.duration(to: .now).seconds
    spent.target = try await target.work(since: mark)
    try await addJobs(after: lastJob, to: &spent)
    try await repeatInTwin(&spent)
    return spent
  }

  /// Returns once no job is left to do.
  func settle() async throws {
    let limit = Deadline.after(Self.patience)
    while true {
      let isBusy = try await metadata.read { session in
        try await session.connection.query("select exists (select from job where finished_at is null) as is_busy")
          .rows[0].bool("is_busy")
      }
      if !isBusy { return }
      guard !limit.hasPassed else { throw BenchError("not all jobs have settled within \(Self.patience)") }
      // no event: the ledger tells schedulers of new jobs, and nobody of finished ones
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  private func newestJob() async throws -> Int64 {
    try await metadata.read { session in
      try await session.connection.query("select coalesce(max(id), 0) as id from job").rows[0].int("id")
    }
  }

  private func addJobs(after last: Int64, to spent: inout Spent) async throws {
    let row = try await metadata.read { session in
      try await session.connection.query(
        """
        select count(*) as jobs, count(*) filter (where j.state <> 'completed') as failed,
          count(*) filter (where j.attempt > 1) as retried,
          coalesce(extract(epoch from max(j.finished_at) filter (where l.kind <> 'governance')
            - min(j.started_at) filter (where l.kind <> 'governance')), 0)::double precision as applying,
          coalesce(extract(epoch from sum(j.finished_at - j.started_at) filter (where l.kind = 'governance')), 0)
            ::double precision as evaluating
        from job j join lane l on l.id = j.lane_id where j.id > $1
        """, [.int8(last)]
      ).rows[0]
    }
    (spent.jobs, spent.failed) = (Int(try row.int("jobs")), Int(try row.int("failed")))
    spent.retried = Int(try row.int("retried"))
    (spent.applying, spent.evaluating) = (try row.double("applying"), try row.double("evaluating"))
  }

  private func repeatInTwin(_ spent: inout Spent) async throws {
    guard spent.target.count > 0 else { return }
    let file = "\(directory)/sent.sql"
    try spent.target.script.write(toFile: file, atomically: false, encoding: .utf8)
    let mark = try await twin.mark()
    spent.psql = try await twin.psql(file)
    spent.twin = try await twin.work(since: mark)
    guard try await target.grantors() == twin.grantors() else {
      throw BenchError("psql repeated the SQL as another role than Sluice: its time is no ceiling")
    }
  }

  /// Syncs a place of the target and runs what follows.
  func sync(_ path: [String] = []) async throws {
    let place = try SecurablePath(parts: [Self.connectionName] + path)
    _ = try await metadata.transaction { try await $0.submitSync(of: place, evenInactive: false) }
    try await settle()
  }
}
