import Platform
import Postgres

/// Reads the ledger and the desired state from the metadata database, as its superuser.
struct LedgerReader: Sendable {
  let session: PostgresConnection

  func read(into readings: inout Readings) async throws {
    readings.jobs = try await jobs()
    readings.attempts = try await attempts()
    readings.transitions = try await Transitions.read(in: session)
    readings.desired = try await desired()
    readings.desiredGrants = try await desiredGrants()
    readings.desiredMembers = try await desiredMembers()
    readings.desiredRoles = try await desiredRoles()
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

  /// The settlement that ended a job is told by the job's own row, earlier ones by rows of their own.
  private func attempts() async throws -> [AttemptReading] {
    try await session.query(
      """
      with attempt as (
        select job_id, fence_epoch, fence_sequence, outcome, started_at, finished_at, error from job_attempt
        union
        select id, fence_epoch, fence_sequence, state, started_at, finished_at, error from job
        where finished_at is not null and fence_epoch is not null
      )
      select a.job_id, j.lane_id, a.fence_epoch, a.fence_sequence, a.outcome,
        extract(epoch from a.started_at)::float8 as started, extract(epoch from a.finished_at)::float8 as finished,
        a.error
      from attempt a join job j on j.id = a.job_id
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
        left join desired_member m on m.audience_id = d.audience_id
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
    let rows = try await session.query(
      """
      select c.name as connection, d.audience_role, d.member_role
      from desired_member d join connection c on c.id = d.connection_id
      """
    ).rows
    return Set(
      try rows.map { row in
        MemberReading(
          role: RoleReading(connection: try row.text("connection"), role: try row.text("audience_role")),
          member: try row.text("member_role"))
      })
  }

  /// Audiences' roles, and those of all users: these stay, whether they are granted anything at the moment or not.
  private func desiredRoles() async throws -> Set<RoleReading> {
    let rows = try await session.query(
      """
      select c.name as connection, a.role from audience a join connection c on c.id = a.connection_id
      union all
      select c.name, r.role from user_role r join connection c on c.id = r.connection_id where r.role is not null
      """
    ).rows
    return Set(try rows.map { RoleReading(connection: try $0.text("connection"), role: try $0.text("role")) })
  }

  private static func access(_ row: PostgresRow) throws -> Access { try row.text("access") == "write" ? .write : .read }
}
