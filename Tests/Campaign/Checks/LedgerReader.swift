import Platform
import Postgres

/// Reads the ledger and the desired state from the metadata database, as its superuser.
struct LedgerReader: Sendable {
  let session: PostgresConnection

  func read(into readings: inout Readings) async throws {
    readings.jobs = try await jobs()
    readings.attempts = try await attempts()
    readings.desired = try await desired()
    readings.desiredGrants = try await desiredGrants()
    readings.desiredMembers = try await desiredMembers()
    let audiences = try await session.query("select role from audience").rows.map { try $0.text("role") }
    readings.desiredRoles = Set(audiences).union(Population.users)
  }

  private func jobs() async throws -> [JobReading] {
    try await session.query(
      """
      select id, lane_id, kind, state, attempt, stalls, open_key is not null as has_open_key,
        extract(epoch from created_at)::float8 as created, extract(epoch from finished_at)::float8 as finished, error
      from job order by id
      """
    ).rows.map { row in
      JobReading(
        id: try row.int("id"), lane: try row.int("lane_id"), kind: try row.text("kind"), state: try row.text("state"),
        attempt: Int(try row.int("attempt")), stalls: Int(try row.int("stalls")),
        hasOpenKey: try row.bool("has_open_key"), createdAt: try row.double("created"),
        finishedAt: try row.optionalDouble("finished"), error: try row.optionalText("error"))
    }
  }

  private func attempts() async throws -> [AttemptReading] {
    try await session.query(
      """
      select a.job_id, j.lane_id, a.fence_epoch, a.fence_sequence, a.outcome,
        extract(epoch from a.started_at)::float8 as started, extract(epoch from a.finished_at)::float8 as finished,
        a.error
      from job_attempt a join job j on j.id = a.job_id
      """
    ).rows.map { row in
      AttemptReading(
        job: try row.int("job_id"), lane: try row.int("lane_id"),
        fence: Fence(epoch: try row.int("fence_epoch"), sequence: try row.int("fence_sequence")),
        outcome: try row.text("outcome"), startedAt: try row.double("started"), finishedAt: try row.double("finished"),
        error: try row.optionalText("error"))
    }
  }

  /// Each user's access to each table, by subscription or as a member of an audience.
  private func desired() async throws -> [AccessKey: Access] {
    let rows = try await session.query(
      """
      select i.name as user_name, s.database, s.name, d.access
      from desired_access d join data_source s on s.id = d.securable_id
        left join audience_member m on m.audience_id = d.audience_id
        join identity i on i.id = coalesce(d.identity_id, m.identity_id)
      """
    ).rows
    var desired: [AccessKey: Access] = [:]
    for row in rows {
      let table = TableName(database: try row.text("database"), table: try row.text("name"))
      let key = AccessKey(user: try row.text("user_name"), table: table)
      desired[key] = max(desired[key] ?? .none, try Self.access(row))
    }
    return desired
  }

  private func desiredGrants() async throws -> Set<GrantReading> {
    let rows = try await session.query(
      """
      select d.role, s.database, s.name, d.access
      from desired_access d join data_source s on s.id = d.securable_id
      """
    ).rows
    return Set(
      try rows.flatMap { row in
        let table = TableName(database: try row.text("database"), table: try row.text("name"))
        let role = try row.text("role")
        return try Self.access(row).privileges.map { GrantReading(role: role, table: table, privilege: $0) }
      })
  }

  private func desiredMembers() async throws -> Set<MemberReading> {
    let rows = try await session.query("select audience_role, member_role from desired_member").rows
    return Set(
      try rows.map { MemberReading(role: try $0.text("audience_role"), member: try $0.text("member_role")) })
  }

  private static func access(_ row: PostgresRow) throws -> Access { try row.text("access") == "write" ? .write : .read }
}
