import Platform
import Postgres

/// What the server of the metadata database says about itself.
package struct ServerFacts: Sendable {
  package let version: String
  /// As `server_version_num`: 170002 for 17.2.
  package let versionNumber: Int
  package let isReplica: Bool
  /// Settings as `SHOW` prints them: `fsync`, `full_page_writes`, `synchronous_commit`, `autovacuum`.
  package let settings: [String: String]
  package let connections: Int
  package let mostConnections: Int
  /// The oldest transaction that is open now.
  package let longestTransaction: Duration
  /// Since the scheduler that holds the leader's lock was last heard of; nil if none holds it.
  package let leaderSilence: Duration?

  package var hasLeader: Bool { leaderSilence != nil }

  package init(
    version: String, versionNumber: Int, isReplica: Bool, settings: [String: String], connections: Int,
    mostConnections: Int, longestTransaction: Duration, leaderSilence: Duration?
  ) {
    self.version = version
    self.versionNumber = versionNumber
    self.isReplica = isReplica
    self.settings = settings
    self.connections = connections
    self.mostConnections = mostConnections
    self.longestTransaction = longestTransaction
    self.leaderSilence = leaderSilence
  }
}

extension MetadataSession {
  package func serverFacts() async throws -> ServerFacts {
    let row = try await connection.query(
      statement(PackageResources.examine_server_sql), [.int8(Self.leaderLock)]
    ).rows[0]
    let names = ["fsync", "full_page_writes", "synchronous_commit", "autovacuum"]
    return ServerFacts(
      version: try row.text("version"), versionNumber: Int(try row.int("version_number")),
      isReplica: try row.bool("is_replica"),
      settings: Dictionary(uniqueKeysWithValues: try names.map { ($0, try row.text($0)) }),
      connections: Int(try row.int("connections")), mostConnections: Int(try row.int("max_connections")),
      longestTransaction: .seconds(try row.int("longest_transaction_s")),
      leaderSilence: try row.optionalInt("leader_silence_ms").map { .milliseconds($0) })
  }

  /// The server's clock, in seconds since 1970.
  package func clock() async throws -> Double {
    try await connection.query("select extract(epoch from clock_timestamp())::double precision as now").rows[0]
      .double("now")
  }
}
