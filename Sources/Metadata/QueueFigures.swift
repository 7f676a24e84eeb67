import Platform
import Postgres

/// Jobs of the ledger that Redis has not been told of.
package struct NotEnqueued: Sendable {
  package let count: Int
  /// Counting ended at its limit: there are more.
  package let isLimited: Bool
  /// Since the first of those that were counted was due.
  package let oldestAge: Duration

  package init(count: Int, isLimited: Bool, oldestAge: Duration) {
    self.count = count
    self.isLimited = isLimited
    self.oldestAge = oldestAge
  }
}

/// Numbers of the ledger that cost the same however many jobs there are.
extension MetadataSession {
  /// Jobs that a count looks at: some milliseconds' worth.
  package static let countLimit = 10_000

  package func notEnqueued(epoch: Int64) async throws -> NotEnqueued {
    let row = try await connection.query(
      statement(PackageResources.count_not_enqueued_sql), [.int8(epoch), .int(Self.countLimit)]
    ).rows[0]
    let count = Int(try row.int("jobs"))
    return NotEnqueued(
      count: count, isLimited: count == Self.countLimit, oldestAge: .seconds(try row.int("oldest_s")))
  }

  /// Dead letters by lane and kind, of the first `countLimit`.
  package func deadLettersByLaneAndKind() async throws -> [(lane: Int64, kind: JobKind, count: Int)] {
    try await connection.query(
      """
      select lane_id, kind, count(*) as jobs
      from (select lane_id, kind from job where state = 'discarded' limit $1) as counted group by lane_id, kind
      """, [.int(Self.countLimit)]
    ).rows.map { row in
      guard let kind = JobKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "a job was written by another version")
      }
      return (try row.int("lane_id"), kind, Int(try row.int("jobs")))
    }
  }
}
