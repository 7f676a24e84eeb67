import Postgres

/// What waits in a lane, as the ledger sees it.
package struct LaneBacklog: Sendable {
  package let lane: Int64
  package let kind: LaneKind
  package let connection: String
  package let database: String?
  /// Since its oldest unfinished job was submitted.
  package let oldestAge: Duration
}

extension MetadataSession {
  /// The lanes with unfinished jobs. Costs one look into an index a lane, however many jobs there are.
  package func backlog() async throws -> [LaneBacklog] {
    try await connection.query(statement(PackageResources.list_backlog_sql)).rows.map { row in
      guard let kind = LaneKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "lane \(try row.int("id")) is of an unknown kind")
      }
      return LaneBacklog(
        lane: try row.int("id"), kind: kind, connection: try row.text("connection"),
        database: try row.optionalText("database"), oldestAge: .milliseconds(try row.int("age_ms")))
    }
  }

  /// Unfinished jobs by kind and state. Reads every one of them.
  package func unfinishedByKind() async throws -> [(kind: JobKind, state: JobState, count: Int)] {
    try await connection.query(
      "select kind, state, count(*) as n from job where finished_at is null group by kind, state order by kind, state"
    ).rows.map { row in
      guard let kind = JobKind(rawValue: try row.text("kind")), let state = JobState(rawValue: try row.text("state"))
      else { throw MetadataError(.corrupt, "a job was written by another version") }
      return (kind, state, Int(try row.int("n")))
    }
  }
}
