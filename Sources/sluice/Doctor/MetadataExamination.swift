import Metadata
import Platform

/// What the metadata database's server must not do to a ledger.
struct MetadataExamination {
  static let oldestVersion = 150_000
  /// Of `max_connections`.
  static let fullConnections = 0.9
  /// A transaction that is open for longer keeps finished jobs from being cleaned up.
  static let longestTransaction: Duration = .seconds(600)

  let facts: ServerFacts

  var findings: [Finding] { [version, role] + durability + [connections, transactions, autovacuum] }

  private var version: Finding {
    facts.versionNumber >= Self.oldestVersion
      ? .ok("metadata version", "PostgreSQL \(facts.version)")
      : .error("metadata version", "PostgreSQL \(facts.version)", remedy: "use PostgreSQL 15 or newer")
  }

  private var role: Finding {
    facts.isReplica
      ? .error(
        "metadata role", "this server is a replica: it takes no writes",
        remedy: "point SLUICE_METADATA_URL at the primary")
      : .ok("metadata role", "primary")
  }

  private var durability: [Finding] {
    let broken = [
      ("fsync", "a crash of the machine may destroy the ledger"),
      ("full_page_writes", "a crash of the machine may destroy the ledger"),
      ("synchronous_commit", "a crash may lose changes that were confirmed"),
    ].filter { facts.settings[$0.0] == "off" }
    if broken.isEmpty { return [.ok("metadata durability", "what is confirmed is on disk")] }
    return broken.map { .error("metadata durability", "\($0.0) is off: \($0.1)", remedy: "set \($0.0) to on") }
  }

  private var connections: Finding {
    let words = "\(facts.connections) of \(facts.mostConnections) connections in use"
    return Double(facts.connections) < Double(facts.mostConnections) * Self.fullConnections
      ? .ok("metadata connections", words)
      : .warning(
        "metadata connections", words, remedy: "raise max_connections, or run fewer workers or with less concurrency")
  }

  private var transactions: Finding {
    let words = "the oldest open transaction is \(DurationText.rounded(facts.longestTransaction)) old"
    return facts.longestTransaction <= Self.longestTransaction
      ? .ok("metadata transactions", words)
      : .warning(
        "metadata transactions", words + ": finished jobs cannot be cleaned up",
        remedy: "see who holds it: select * from pg_stat_activity order by xact_start")
  }

  private var autovacuum: Finding {
    facts.settings["autovacuum"] == "on"
      ? .ok("metadata autovacuum", "on")
      : .warning("metadata autovacuum", "off: the ledger grows and slows down", remedy: "set autovacuum to on")
  }
}
