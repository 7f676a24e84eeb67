import Postgres

/// Reads what the target's own catalog says, as its superuser.
struct TargetReader: Sendable {
  let cluster: CampaignCluster

  func read(into readings: inout Readings) async throws {
    for database in Population.databases {
      let (observed, grants, admitted) = try await cluster.withAdmin(cluster.target(of: database), database) {
        session in
        (
          try await self.observed(database, session), try await self.grants(database, session),
          try await self.admitted(session)
        )
      }
      readings.observed.merge(observed) { $1 }
      readings.observedGrants.formUnion(grants)
      readings.admitted[database] = admitted
    }
    for (connection, _) in Population.connections {
      let (roles, members) = try await cluster.withAdmin(cluster.target(connection), "postgres") { session in
        (try await self.roles(connection, session), try await self.members(connection, session))
      }
      readings.observedRoles.formUnion(roles)
      readings.observedMembers.formUnion(members)
    }
  }

  /// With the user's own privileges: a role that may not enter the database or the schema can do nothing there.
  private func observed(_ database: String, _ session: PostgresConnection) async throws -> [AccessKey: Set<String>] {
    let rows = try await session.query(
      """
      select r.rolname, c.relname, p.name as privilege
      from pg_roles r cross join pg_class c cross join unnest($2::text[]) as p (name)
      where r.rolname = any ($1) and c.relnamespace = '\(Population.schema)'::regnamespace and c.relkind = 'r'
        and has_database_privilege(r.oid, current_database(), 'CONNECT')
        and has_schema_privilege(r.oid, c.relnamespace, 'USAGE') and has_table_privilege(r.oid, c.oid, p.name)
      """, [.textArray(Population.users), .textArray(Array(Access.write.privileges))]
    ).rows
    var observed: [AccessKey: Set<String>] = [:]
    for row in rows {
      let table = TableName(database: database, table: try row.text("relname"))
      observed[AccessKey(user: try row.text("rolname"), table: table), default: []].insert(try row.text("privilege"))
    }
    return observed
  }

  private func grants(_ database: String, _ session: PostgresConnection) async throws -> Set<GrantReading> {
    let rows = try await session.query(
      """
      select coalesce(r.rolname, 'PUBLIC') as role, c.relname, x.privilege_type
      from pg_class c cross join lateral aclexplode(c.relacl) x left join pg_roles r on r.oid = x.grantee
      where c.relnamespace = '\(Population.schema)'::regnamespace and c.relkind = 'r'
        and coalesce(r.rolname, 'PUBLIC') <> all ($1)
      """, [.textArray(Array(Population.baseline))]
    ).rows
    return Set(
      try rows.map { row in
        GrantReading(
          role: try row.text("role"), table: TableName(database: database, table: try row.text("relname")),
          privilege: try row.text("privilege_type"))
      })
  }

  private func admitted(_ session: PostgresConnection) async throws -> Set<String> {
    let rows = try await session.query(
      """
      select r.rolname from pg_namespace n cross join lateral aclexplode(n.nspacl) x join pg_roles r on r.oid = x.grantee
      where n.nspname = '\(Population.schema)' and r.rolname <> all ($1)
      union
      select r.rolname from pg_database d cross join lateral aclexplode(d.datacl) x join pg_roles r on r.oid = x.grantee
      where d.datname = current_database() and x.privilege_type = 'CONNECT' and r.rolname <> all ($1)
      """, [.textArray(Array(Population.baseline))]
    ).rows
    return Set(try rows.map { try $0.text("rolname") })
  }

  /// Without the policy role, which stays as long as the connection does.
  private func roles(_ connection: String, _ session: PostgresConnection) async throws -> Set<RoleReading> {
    let rows = try await session.query(
      """
      select rolname from pg_roles
      where not starts_with(rolname, 'pg_') and not starts_with(rolname, 'sluice_p_') and rolname <> all ($1)
      """, [.textArray(Array(Population.baseline))]
    ).rows
    return Set(try rows.map { RoleReading(connection: connection, role: try $0.text("rolname")) })
  }

  /// Without those that make Sluice, and its policy role, the administrators of the roles that they made.
  private func members(
    _ connection: String, _ session: PostgresConnection
  ) async throws -> Set<MemberReading> {
    let rows = try await session.query(
      """
      select r.rolname as role, m.rolname as member
      from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
      where not starts_with(r.rolname, 'pg_') and not starts_with(m.rolname, 'sluice_p_') and m.rolname <> all ($1)
      """, [.textArray(Array(Population.baseline))]
    ).rows
    return Set(
      try rows.map { row in
        MemberReading(
          role: RoleReading(connection: connection, role: try row.text("role")), member: try row.text("member"))
      })
  }
}

extension Readings {
  /// The same with the ledger and the targets as they are now.
  func again(from cluster: CampaignCluster) async throws -> Readings {
    var readings = try await cluster.withAdmin(cluster.metadata, "sluice") { session in
      var readings = self
      try await LedgerReader(session: session).read(into: &readings)
      return readings
    }
    (readings.observed, readings.observedGrants, readings.admitted) = ([:], [], [:])
    (readings.observedRoles, readings.observedMembers) = ([], [])
    try await TargetReader(cluster: cluster).read(into: &readings)
    return readings
  }
}
