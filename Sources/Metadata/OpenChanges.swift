import Governance
import Postgres

extension MetadataSession {
  /// The changes of a lane that have not ended, or not before `since`; nil if there are more than `limit`.
  package func openChanges(in lane: Int64, since: Timestamp, limit: Int) async throws -> [ClaimedJob]? {
    let rows = try await connection.query(
      """
      select id, kind, class, scope::text as scope, attempt, max_attempts from job
      where lane_id = $1 and kind in ('subscribe', 'revoke') and finished_at is null
      union all
      select id, kind, class, scope::text, attempt, max_attempts from job
      where lane_id = $1 and kind in ('subscribe', 'revoke')
        and finished_at >= timestamptz 'epoch' + $2::bigint * interval '1 microsecond'
      limit $3 + 1
      """, [.int8(lane), .int8(since.microseconds), .int8(Int64(limit))]
    ).rows
    return rows.count > limit ? nil : try rows.map(Self.decodeClaimed)
  }

  /// The roles of everybody who has an account on a connection.
  package func peopleRoles(of connectionID: Int64) async throws -> [String] {
    try await connection.query(
      "select distinct role from user_role where connection_id = $1 and role is not null order by role",
      [.int8(connectionID)]
    ).rows.map { try $0.text("role") }
  }
}
