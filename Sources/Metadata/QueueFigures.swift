import Platform
import Postgres

/// Jobs of the ledger that Redis has not been told of.
package struct NotEnqueued: Sendable {
  /// Counted up to `MetadataSession.countLimit` entries of the outbox, and as many jobs that Redis has forgotten.
  package let count: Int
  /// Since the oldest of the outbox was due, apart from those of full connections.
  package let oldestAge: Duration
  /// Redis lost its memory, and is being told of everything unfinished again.
  package let isRefilling: Bool
  /// Since when Redis has as many jobs as it may: these wait until it has room. RFC 3339, UTC.
  package let fullSince: String?
  /// Connections of which Redis has as many jobs as it may of one.
  package let fullConnections: Int

  package init(count: Int, oldestAge: Duration, isRefilling: Bool, fullSince: String?, fullConnections: Int = 0) {
    self.fullConnections = fullConnections
    self.count = count
    self.oldestAge = oldestAge
    self.isRefilling = isRefilling
    self.fullSince = fullSince
  }
}

/// Numbers of the ledger that cost the same however many jobs there are.
extension MetadataSession {
  /// Jobs that a count looks at: some milliseconds' worth.
  package static let countLimit = 10_000

  package func notEnqueued() async throws -> NotEnqueued {
    let row = try await connection.query(
      statement(PackageResources.count_not_enqueued_sql), [.int(Self.countLimit)]
    ).rows[0]
    return NotEnqueued(
      count: Int(try row.int("jobs")), oldestAge: .seconds(try row.int("oldest_s")),
      isRefilling: try row.bool("is_refilling"),
      fullSince: try row.optionalText("full_since"), fullConnections: Int(try row.int("full_connections")))
  }

  /// Jobs in the first `countLimit` entries of the outbox, by kind.
  package func outboxByKind() async throws -> [JobKind: Int] {
    let rows = try await connection.query(
      "select kind, sum(size)::bigint as jobs from (select kind, size from outbox limit $1) entry group by kind",
      [.int(Self.countLimit)]
    ).rows
    return try rows.reduce(into: [:]) { counts, row in
      guard let kind = JobKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "the outbox was written by another version")
      }
      counts[kind] = Int(try row.int("jobs"))
    }
  }

  /// Dead letters by lane and kind, of the first `countLimit`.
  package func deadLettersByLaneAndKind() async throws -> [(lane: Int64, connection: Int64, kind: JobKind, count: Int)]
  {
    try await connection.query(
      """
      select d.lane_id, l.connection_id, d.kind, count(*) as jobs
      from (select lane_id, kind from job where state = 'discarded' limit $1) d join lane l on l.id = d.lane_id
      group by d.lane_id, l.connection_id, d.kind
      """, [.int(Self.countLimit)]
    ).rows.map { row in
      guard let kind = JobKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "a job was written by another version")
      }
      return (try row.int("lane_id"), try row.int("connection_id"), kind, Int(try row.int("jobs")))
    }
  }
}

extension MetadataSession {
  /// Unfinished jobs, counted up to `countLimit`.
  package func unfinishedCount() async throws -> Int {
    Int(
      try await connection.query(
        "select count(*) as jobs from (select from job where finished_at is null limit $1) as counted",
        [.int(Self.countLimit)]
      ).rows[0].int("jobs"))
  }

  /// The age of the oldest unfinished job of each connection that has any: one look into an index a lane.
  package func oldestAges() async throws -> [Int64: Duration] {
    let rows = try await connection.query(statement(PackageResources.list_oldest_ages_sql)).rows
    return Dictionary(
      uniqueKeysWithValues: try rows.map { (try $0.int("connection_id"), .milliseconds(try $0.int("age_ms"))) })
  }
}
