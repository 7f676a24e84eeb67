import Cluster
import Foundation
import JobQueue
import LocalServers
import Metadata
import Platform
import Postgres
import Redis
import RedisTestKit
import SluiceTestKit

/// A metadata database and a Redis of a test's own, one registered connection, and the built binary. No process works,
/// so that everything stays where the test puts it.
struct Installation: Sendable {
  let metadata: MetadataDatabase
  let redis: RedisTestKit.PrivateRedis
  let client: RedisClient
  let queue: LaneQueue
  let connection: Connection
  private let directory: String

  /// The epoch that Redis and the ledger agree on.
  static let epoch: Int64 = 1

  static func run(_ arguments: [String] = [], _ body: @Sendable (Installation) async throws -> Void) async throws {
    try await withMetadata { metadata in
      try await RedisTestKit.PrivateRedis.run(arguments) { redis async throws in
        let installation = try await prepare(metadata, redis)
        defer { try? FileManager.default.removeItem(atPath: installation.directory) }
        try await body(installation)
        await installation.client.close()
      }
    }
  }

  private static func prepare(_ metadata: MetadataDatabase, _ redis: RedisTestKit.PrivateRedis) async throws
    -> Installation
  {
    let directory = "/tmp/sluice-operators-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    let key = SealingKey.random()
    let draft = Connection(name: "prod", kind: .postgres, host: "127.0.0.1", database: "main", username: "sluice")
    let connection = try await metadata.transaction { try await $0.insert(draft, secret: Secret("s3"), key: key) }
    let client = redis.client()
    let queue = LaneQueue(client: client, wakeClient: redis.client())
    let installation = Installation(
      metadata: metadata, redis: redis, client: client, queue: queue, connection: connection, directory: directory)
    _ = try await queue.establish(epoch: epoch)
    try await installation.execute("update queue_epoch set redis_run_id = '\(try await queue.serverRunID() ?? "")'")
    try await installation.bringRules()
    return installation
  }

  func execute(_ sql: String) async throws { _ = try await metadata.read { try await $0.connection.execute(sql) } }

  /// As if the worker had been heard of so much earlier.
  func silence(_ worker: String, seconds: Int) async throws {
    _ = try await client.send(["ZINCRBY", "{sluice:0}:workers", "\(-seconds * 1000)", worker])
  }

  /// As if the lane had been leased so much earlier.
  func age(_ lease: Lease, seconds: Int) async throws {
    let script = """
      local lease = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
      lease.since = lease.since - ARGV[2] * 1000
      redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(lease))
      """
    _ = try await client.send(["EVAL", script, "1", "{sluice:0}:lease", "\(lease.lane)", "\(seconds)"])
  }

  /// As a scheduler does.
  func bringRules() async throws {
    let version = try await metadata.read { try await $0.queueState() }.rulesVersion
    _ = try await queue.apply(QueueRules(version: version))
  }
}

// Commands.
extension Installation {
  private static let commandLimit: Duration = .seconds(60)

  /// The built binary beside the test bundle.
  private static var executable: String {
    URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("sluice").path
  }

  private var environment: [String: String] {
    get async throws {
      [
        "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "", "SLUICE_LOG_LEVEL": "critical",
        "SLUICE_METADATA_URL": try await TestServer.shared.postgres.url(database: metadata.configuration.database),
        "SLUICE_REDIS_URL": "redis://127.0.0.1:\(redis.port)",
      ]
    }
  }

  /// Runs `sluice` with these words; its answer alone is kept.
  func sluice(_ words: String..., changes: [String: String] = [:]) async throws -> Answer {
    try await run(words, changes)
  }

  /// Begins a command, to be ended by a signal.
  ///
  /// - Returns: the process, and the file of its standard error.
  func begin(_ words: String...) async throws -> (ManagedProcess, errors: String) {
    let errors = "\(directory)/errors-\(UUID().uuidString)"
    let launch = Launch(Self.executable, words, environment: try await environment, logFile: errors)
    return (try await ManagedProcess.start(launch), errors)
  }

  func run(_ words: [String], _ changes: [String: String] = [:]) async throws -> Answer {
    let errors = "\(directory)/errors-\(UUID().uuidString)"
    let launch = Launch(
      "/bin/sh", ["-c", "exec \"$0\" \"$@\" 2>\(errors)", Self.executable] + words,
      environment: try await environment.merging(changes) { $1 })
    let run = try await ToolRun.run(launch, deadline: .after(Self.commandLimit))
    let told = String(decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self)
    return Answer(words: words, status: run.status, text: run.output, errors: told)
  }
}

/// How a command ended, and what it wrote to each stream.
struct Answer: Sendable, CustomStringConvertible {
  let words: [String]
  let status: LocalServers.ExitStatus
  let text: String
  let errors: String

  var description: String { "sluice \(words.joined(separator: " ")): \(status)\n\(text)\n\(errors)" }

  struct NotUnderstood: Error, CustomStringConvertible { let description: String }

  /// The answer of a command that was asked for JSON.
  func json<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do { return try decoder.decode(type, from: Data(text.utf8)) } catch {
      throw NotUnderstood(description: "\(error) in the answer of \(self)")
    }
  }
}

// Jobs.
extension Installation {
  func lane(_ kind: LaneKind = .roles) async throws -> Lane {
    try await metadata.read { try await $0.lane(kind, of: connection.id) }
  }

  /// Submits a job about a role, of the roles lane.
  func submit(_ role: String = "r", _ jobClass: JobClass = .interactive, kind: JobKind = .subscribe) async throws
    -> Int64
  {
    let lane = try await lane()
    return try await metadata.transaction { session in
      try await session.submit([
        JobRequest(lane: lane.id, kind: kind, jobClass: jobClass, scope: .grantee(role))
      ])[0].id
    }
  }

  /// Hands over what Redis has not been told of, as a scheduler does.
  func handOver() async throws {
    for jobClass in JobClass.allCases {
      var round = OutboxRound()
      repeat {
        round = try await metadata.read { [round] session in
          var round = round
          _ = try await session.handOver(jobClass, in: session.queueState(), round: &round, limit: 1000) { jobs in
            _ = try await queue.enqueue(jobs.map(QueuedJob.init), epoch: Self.epoch)
          }
          return round
        }
      } while round.hasMore
    }
  }

  /// A job that Redis knows.
  func enqueue(_ role: String = "r", _ jobClass: JobClass = .interactive) async throws -> Int64 {
    let job = try await submit(role, jobClass)
    try await handOver()
    return job
  }

  struct NothingToLease: Error {}

  func lease(_ worker: String = "w-1", limit: Int = 100) async throws -> Lease {
    guard case .leased(let lease) = try await queue.lease(worker: worker, limit: limit) else { throw NothingToLease() }
    return lease
  }

  /// Claims the jobs of a lease, and settles them in both places.
  func settle(
    _ lease: Lease, _ outcome: JobResult.Outcome, error: String? = nil, remedy: String? = nil, result: String? = nil
  ) async throws {
    try await metadata.transaction { session in
      _ = try await session.claim(lease.jobs, fence: lease.fence, worker: lease.worker)
      try await session.settle(
        lease.jobs.map { JobResult(id: $0, outcome: outcome, error: error, remedy: remedy, result: result) },
        fence: lease.fence)
    }
    let settlement: Settlement =
      switch outcome {
      case .completed: .done(.completed)
      case .discarded: .done(.discarded)
      case .cancelled: .done(.cancelled)
      case .retryable(let delay), .snoozed(let delay): .again(after: delay)
      }
    try await queue.settle(lease, Dictionary(uniqueKeysWithValues: lease.jobs.map { ($0, settlement) }))
  }

  /// A dead letter.
  func discard(_ role: String = "r") async throws -> Int64 {
    let job = try await enqueue(role)
    try await settle(try await lease(), .discarded, error: "permission denied", remedy: "grant it")
    return job
  }

  func audited(_ action: String) async throws -> Int {
    try await metadata.read { session in
      Int(
        try await session.connection.query("select count(*) as n from audit where action = $1", [.text(action)])
          .rows[0].int("n"))
    }
  }
}
