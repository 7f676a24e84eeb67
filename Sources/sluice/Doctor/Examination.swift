import JobQueue
import Metadata
import Platform
import Postgres
import Redis

/// Everything that `sluice doctor` looks at, from the servers up to the targets. What cannot be looked at is a finding
/// too, and keeps nothing else from being looked at.
struct Examination {
  /// Connections to the metadata database at the same time: those to targets read their secrets side by side.
  private static let connections = 4

  /// Lanes of which the oldest job is looked for; of more, those of the first connections by name.
  private static let laneLimit = 10_000

  let settings: Settings

  /// What the metadata database lets be looked at.
  private enum Reach { case ledger, server, nothing }

  func run() async throws -> [Finding] {
    let metadata = MetadataDatabase(
      configuration: try settings.metadataConfiguration(), connections: Self.connections)
    let (schema, reach) = await schema(metadata)
    var findings = await keyFile() + [schema] + server(metadata, reach)
    findings += await redis(reach == .ledger ? metadata : nil)
    findings += reach == .ledger ? await cluster(metadata) + targets(metadata) : Self.unknown(Self.ledgerChecks)
    await metadata.shutDown()
    return findings
  }

  // What is not checked is told by the names that it has when it is.
  private static let serverChecks = [
    "metadata version", "metadata role", "metadata durability", "metadata connections", "metadata transactions",
    "metadata autovacuum", "clock of metadata database",
  ]
  private static let ledgerChecks = [
    "schedulers", "outbox", "dead letters", "oldest job", "role budgets", "pauses", "connections",
  ]
  private static let redisChecks = [
    "redis version", "redis role", "redis eviction", "redis memory", "redis persistence", "redis replicas",
    "redis latency", "clock of redis",
  ]
  private static let queueChecks = ["queue epoch"] + QueueExamination.memoryChecks + ["workers"]

  private static func unknown(_ checks: [String], because cause: String = "metadata schema") -> [Finding] {
    checks.map { .unknown($0, because: cause) }
  }

  /// One attempt to reach the database, however much depends on it: a server that hangs takes its time once.
  private func schema(_ metadata: MetadataDatabase) async -> (Finding, Reach) {
    do {
      try await metadata.read { try await Schema.requireCurrent($0) }
      return (.ok("metadata schema", "at this program's version"), .ledger)
    } catch {
      let finding = Finding.error(
        "metadata schema", Ending.message(of: error), remedy: "see SLUICE_METADATA_URL and the database's log")
      return (finding, error is MetadataError ? .server : .nothing)
    }
  }

  private func server(_ metadata: MetadataDatabase, _ reach: Reach) async -> [Finding] {
    if reach == .nothing { return Self.unknown(Self.serverChecks) }
    return await attempt("metadata server", "see SLUICE_METADATA_URL and the database's log", Self.serverChecks) {
      MetadataExamination(facts: try await metadata.read { try await $0.serverFacts() }).findings
        + [try await ClockExamination.metadata(metadata)]
    }
  }

  /// What cannot be found out is an error of its own, and everything that hangs on it is unknown.
  private func attempt(
    _ check: String, _ remedy: String, _ dependent: [String] = [], _ look: () async throws -> [Finding]
  ) async -> [Finding] {
    do { return try await look() } catch {
      return [.error(check, Ending.message(of: error), remedy: remedy)]
        + Self.unknown(dependent.filter { $0 != check }, because: check)
    }
  }

  private func keyFile() async -> [Finding] {
    guard let path = settings[.secretKeyFile] else {
      return [
        .warning(
          "key file", "not given: connections cannot be examined", remedy: "give --secret-key-file")
      ]
    }
    return await attempt("key file", "make it readable for this user; workers and schedulers need the same one") {
      _ = try settings.sealingKey()
      return [.ok("key file", "\(path) is readable")]
    }
  }

  /// - Parameter metadata: nil if the ledger cannot be read.
  private func redis(_ metadata: MetadataDatabase?) async -> [Finding] {
    let remedy = "see SLUICE_REDIS_URL and the log of Redis"
    return await attempt("redis server", remedy, Self.redisChecks + Self.queueChecks) {
      try await settings.withQueue { queue, client in
        await attempt("redis server", remedy, Self.redisChecks) {
          try await RedisExamination(client).findings + [
            try await RedisExamination.latency(client), try await ClockExamination.redis(client),
          ]
        }
          + (await attempt("queue", remedy, Self.queueChecks.dropLast()) {
            try await QueueExamination(queue: queue, metadata: metadata).findings()
          }) + (await attempt("workers", remedy) { try await WorkerExamination.findings(queue) })
      }
    }
  }

  private func cluster(_ metadata: MetadataDatabase) async -> [Finding] {
    await attempt("ledger", "see the database's log", Self.ledgerChecks.dropLast()) {
      try await metadata.read { session in
        let rules = try await session.queueRules()
        return [
          ClusterExamination.scheduler(leaderSilence: try await session.serverFacts().leaderSilence),
          ClusterExamination.outbox(try await session.notEnqueued()),
          ClusterExamination.deadLetters(try await session.deadLetterCount()),
          ClusterExamination.oldestAge(
            try await session.backlog(limit: Self.laneLimit), try await session.connections(), rules),
          ClusterExamination.roleBudgets(try await session.unplacedCounts()),
        ] + ClusterExamination.pauses(rules)
      }
    }
  }

  private func targets(_ metadata: MetadataDatabase) async -> [Finding] {
    guard settings[.secretKeyFile] != nil else { return [.unknown("connections", because: "key file")] }
    return await attempt("connections", "see the findings above") {
      let connections = try await metadata.read { try await $0.connections() }
      return await (try ConnectionExamination(settings: settings, metadata: metadata)).findings(connections)
    }
  }
}
