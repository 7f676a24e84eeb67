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

  let settings: Settings

  func run() async throws -> [Finding] {
    let metadata = MetadataDatabase(
      configuration: try settings.metadataConfiguration(), connections: Self.connections)
    var findings = await keyFile()
    findings += await attempt("metadata schema", "see SLUICE_METADATA_URL and the database's log") {
      try await metadata.read { try await Schema.requireCurrent($0) }
      return [.ok("metadata schema", "at this program's version")]
    }
    let isReadable = findings.last?.verdict == .ok
    findings += await attempt("metadata server", "see SLUICE_METADATA_URL and the database's log") {
      MetadataExamination(facts: try await metadata.read { try await $0.serverFacts() }).findings
    }
    findings += await attempt("clock of metadata database", "see the database's log") {
      [try await ClockExamination.metadata(metadata)]
    }
    findings += await redis(metadata, isReadable: isReadable)
    if isReadable { findings += await cluster(metadata) + targets(metadata) }
    await metadata.shutDown()
    return findings
  }

  /// What cannot be found out is an error of its own.
  private func attempt(
    _ check: String, _ remedy: String, _ look: () async throws -> [Finding]
  ) async -> [Finding] {
    do { return try await look() } catch {
      return [.error(check, Ending.message(of: error), remedy: remedy)]
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

  private func redis(_ metadata: MetadataDatabase, isReadable: Bool) async -> [Finding] {
    await attempt("redis server", "see SLUICE_REDIS_URL and the log of Redis") {
      try await settings.withQueue { queue, client in
        var findings = try await RedisExamination(client).findings
        findings.append(try await RedisExamination.latency(client))
        findings.append(try await ClockExamination.redis(client))
        guard isReadable else { return findings }
        return findings
      }
    }
  }

  private func cluster(_ metadata: MetadataDatabase) async -> [Finding] {
    await attempt("ledger", "see the database's log") {
      try await metadata.read { session in
        let rules = try await session.queueRules()
        return [
          ClusterExamination.scheduler(try await session.serverFacts()),
          ClusterExamination.outbox(try await session.notEnqueued()),
          ClusterExamination.deadLetters(try await session.deadLetterCount()),
          ClusterExamination.oldestAge(try await session.backlog(), try await session.connections(), rules),
          ClusterExamination.pauses(rules),
        ]
      }
    }
  }

  private func targets(_ metadata: MetadataDatabase) async -> [Finding] {
    guard settings[.secretKeyFile] != nil else { return [] }
    return await attempt("connections", "see the findings above") {
      let connections = try await metadata.read { try await $0.connections() }
      return await (try ConnectionExamination(settings: settings, metadata: metadata)).findings(connections)
    }
  }
}
