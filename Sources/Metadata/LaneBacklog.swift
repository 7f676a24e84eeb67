import Platform
import Postgres

/// What waits in a lane, as the ledger sees it.
package struct LaneBacklog: Sendable {
  package let lane: Int64
  package let kind: LaneKind
  package let connectionID: Int64
  package let connection: String
  package let database: String?
  /// Since its oldest unfinished job was submitted; nil if it has none, and is listed for its dead letters or a
  /// rule of its own.
  package let oldestAge: Duration?

  /// The connection that parks it; 0 for governance lanes, which no stopped instance holds up.
  package var parkedBy: Int64 { kind == .governance ? 0 : connectionID }
}

extension MetadataSession {
  /// A page of the lanes with unfinished jobs, dead letters or rules of their own, by connection and number. Costs one look into an
  /// index a lane, however many jobs there are.
  ///
  /// - Parameter after: The lane before the first of the page, with the name of its connection.
  package func backlog(
    after: (connection: String, lane: Int64)? = nil, limit: Int
  ) async throws -> [LaneBacklog] {
    try await connection.query(
      statement(PackageResources.list_backlog_sql),
      [.text(after?.connection ?? ""), .int8(after?.lane ?? 0), .int(limit)]
    ).rows.map { row in
      guard let kind = LaneKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "lane \(try row.int("id")) is of an unknown kind")
      }
      return LaneBacklog(
        lane: try row.int("id"), kind: kind, connectionID: try row.int("connection_id"),
        connection: try row.text("connection"), database: try row.optionalText("database"),
        oldestAge: try row.optionalInt("age_ms").map { .milliseconds($0) })
    }
  }
}
