import Postgres

/// Up to where a database of a target has been compared with what is desired.
package struct SweepMark: Sendable, Equatable {
  /// The number of the oldest transaction of the target's server that had not ended: whatever an earlier one wrote had
  /// been compared.
  package let horizon: Int64
  /// When that server was started, as it tells it: its numbers are compared with those of the same run alone.
  package let serverStart: String
  /// Differs whenever people may reach more by something else than a change of a relation; empty if nobody has looked at
  /// all of that.
  package var reach: String

  package init(horizon: Int64, serverStart: String, reach: String = "") {
    self.horizon = horizon
    self.serverStart = serverStart
    self.reach = reach
  }
}

extension MetadataSession {
  /// Nil before the first comparison.
  package func sweepMark(of lane: Int64) async throws -> SweepMark? {
    try await connection.query("select horizon, server_start, reach from sweep where lane_id = $1", [.int8(lane)])
      .rows.first.map {
        SweepMark(
          horizon: try $0.int("horizon"), serverStart: try $0.text("server_start"), reach: try $0.text("reach"))
      }
  }

  /// The differences in a lane that the audit trail tells of already, as hashes.
  package func toldDrift(of lane: Int64) async throws -> Set<String> {
    Set(
      try await connection.query("select told from sweep where lane_id = $1", [.int8(lane)]).rows.first
        .map { try $0.textArray("told") } ?? [])
  }

  /// Notes up to where a lane was compared, and what was told of it; nil leaves either as it is.
  package func note(_ mark: SweepMark?, told: Set<String>? = nil, of lane: Int64) async throws {
    _ = try await connection.query(
      """
      insert into sweep (lane_id, horizon, server_start, reach, told)
      values ($1, coalesce($2::bigint, 0), coalesce($3::text, ''), coalesce($4::text, ''), coalesce($5::text[], '{}'))
      on conflict (lane_id) do update set horizon = coalesce($2::bigint, sweep.horizon),
        server_start = coalesce($3::text, sweep.server_start), reach = coalesce($4::text, sweep.reach),
        told = coalesce($5::text[], sweep.told)
      """,
      [
        .int8(lane), .optional(mark?.horizon), .optional(mark?.serverStart), .optional(mark?.reach),
        told.map { .textArray($0.sorted()) } ?? .null,
      ])
  }

  /// Differs whenever somebody gets an account on a connection, or a data source of a database is enabled.
  package func reachToken(connection id: Int64, database: Int64) async throws -> String {
    try await connection.query(
      """
      select concat_ws(' ', p.count, p.hash, d.count, d.hash) as token
      from (
        select count(*), sum(hashtextextended(role, 0)) as hash
        from (select distinct role from user_role where connection_id = $1 and role is not null) u
      ) p, (
        select count(*), sum(hashint8extended(id, 0)) as hash from data_source where database_id = $2 and enabled
      ) d
      """, [.int8(id), .int8(database)]
    ).rows[0].text("token")
  }

  /// The next sweeps of a connection compare everything.
  func forgetSweeps(of connectionID: Int64) async throws {
    _ = try await connection.query(
      "delete from sweep where lane_id in (select id from lane where connection_id = $1)", [.int8(connectionID)])
  }

  /// Connections whose sweep is due, spread as their syncs are; after the first sync, before which nothing is granted.
  package func connectionsDueForSweep(limit: Int) async throws -> [Int64] {
    try await connection.query(
      """
      select id from connection
      where state = 'active' and sweep_every > interval '0' and synced_at is not null
        and coalesce(swept_at, synced_at) + sweep_every * (1 + (id % 100) / 1000.0) <= now()
      order by coalesce(swept_at, synced_at) limit $1
      """, [.int8(Int64(limit))]
    ).rows.map { try $0.int("id") }
  }

  /// Postpones the next sweep of a connection by its whole interval.
  package func postponeSweep(of id: Int64) async throws {
    _ = try await connection.query("update connection set swept_at = now() where id = $1", [.int8(id)])
  }

  /// Submits a sweep of each lane of a connection that has a target.
  @discardableResult
  package func submitSweep(of id: Int64) async throws -> [SubmittedJob] {
    try await submit(
      try await lanes(of: id).filter { $0.kind != .governance }.map {
        JobRequest(lane: $0.id, kind: .sync, jobClass: .bulk, scope: .sweep)
      })
  }

  /// Whether one of these relations has the name that another has in the tree: it was made in its place, or renamed.
  package func isReplaced(
    in database: Int64, by relations: [(oid: UInt32, schema: String, name: String)]
  ) async throws -> Bool {
    try await connection.query(
      """
      select exists (
        select from unnest($2::bigint[], $3::text[], $4::text[]) as r (oid, schema, name)
          join securable p on p.database_id = $1 and p.kind = 'schema' and p.name = r.schema and p.dropped_at is null
          join securable s on s.parent_id = p.id and s.name = r.name and s.dropped_at is null and s.oid <> r.oid
      ) as is_replaced
      """,
      [
        .int8(database), .int8Array(relations.map { Int64($0.oid) }), .textArray(relations.map(\.schema)),
        .textArray(relations.map(\.name)),
      ]
    ).rows[0].bool("is_replaced")
  }
}
