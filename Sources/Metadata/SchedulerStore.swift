import Platform
import Postgres

/// What the leading scheduler looks for.
extension MetadataSession {
  /// True if this session leads now. The lock ends with the session, so a leader that lost its connection has lost the
  /// lead too.
  package func tryToLead() async throws -> Bool { try await tryToHold(Self.leaderLock) }

  /// True if this session may raise the queue's epoch now: one at a time, until it ends.
  package func tryToKeepQueue() async throws -> Bool { try await tryToHold(Self.keeperLock) }

  private func tryToHold(_ lock: Int64) async throws -> Bool {
    let key: [PostgresValue] = [.int8(lock)]
    let held = try await connection.query(
      """
      select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and granted
        and (classid::bigint << 32 | objid::bigint) = $1) as held
      """, key)
    if try held.rows[0].bool("held") { return true }
    return try await connection.query("select pg_try_advisory_lock($1) as held", key).rows[0].bool("held")
  }

  /// Connections whose periodic sync is due. Spread by the connection's number over a tenth of the interval, so that
  /// connections registered together are not synced together. One whose first sync failed counts from its registration.
  package func connectionsDueForSync(limit: Int) async throws -> [Int64] {
    try await connection.query(
      """
      select id from connection
      where state = 'active'
        and coalesce(synced_at, created_at) + sync_every * (1 + (id % 100) / 1000.0) <= now()
      order by coalesce(synced_at, created_at) limit $1
      """, [.int8(Int64(limit))]
    ).rows.map { try $0.int("id") }
  }

  /// Postpones the next periodic sync of a connection by its whole interval.
  package func postponeSync(of id: Int64) async throws {
    _ = try await connection.query("update connection set synced_at = now() where id = $1", [.int8(id)])
  }

  /// Submits the sync of a connection.
  package func submitSync(of id: Int64, jobClass: JobClass = .bulk) async throws -> SubmittedJob {
    let lane = try await lane(.roles, of: id)
    return try await submit([JobRequest(lane: lane.id, kind: .sync, jobClass: jobClass, scope: .connection)])[0]
  }

  /// Submits the evaluation of these connections, or of all that are registered.
  package func submitEvaluations(of ids: [Int64]? = nil) async throws -> [SubmittedJob] {
    let lanes = try await connection.query(
      """
      select l.id from lane l join connection c on c.id = l.connection_id
      where l.kind = 'governance' and c.state not in ('deleting', 'deleted')
        and ($1::bigint[] is null or c.id = any ($1))
      order by l.id
      """, [ids.map { .int8Array($0) } ?? .null]
    ).rows
    return try await submit(
      try lanes.map {
        JobRequest(lane: try $0.int("id"), kind: .evaluate, jobClass: .interactive, scope: .governance)
      })
  }

  /// Marks policies that have expired since the last look; true if there were any.
  package func noteExpiredPolicies() async throws -> Bool {
    try await connection.query("update policy set expired = true where not expired and expires_at <= now()").affected
      > 0
  }

  /// Deletes finished jobs that are older than `age`, at most `limit`; their attempts go with them.
  package func pruneJobs(olderThan age: Duration, limit: Int) async throws -> Int {
    try await connection.query(
      """
      delete from job where id in (
        select id from job where finished_at < now() - $1 * interval '1 millisecond' and state <> 'discarded'
        order by finished_at limit $2)
      """, [.int8(Int64(age.wholeMilliseconds)), .int8(Int64(limit))]
    ).affected
  }
}
