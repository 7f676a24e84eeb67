import Governance
import Metadata
import Platform
import Postgres

/// A target of a test's own in the shared server: two databases of an owner, and a manager that is no superuser and
/// may make roles, which is what Sluice logs in as. Roles live in the instance, so all names carry a prefix.
package struct TestTarget: Sendable {
  /// Where the manager's right to grant comes from.
  package enum Rights: Sendable, CaseIterable {
    /// Grant options of its own.
    case own
    /// As on Lakebase: those of a role that it inherits from and cannot become, and that may read and write all data.
    case inherited
  }

  package let server: TestServer
  package let prefix: String
  package let manager: String
  /// The role whose grant options the manager uses: itself, or the one that it inherits from.
  package let grantor: String
  package let owner: String
  package let database: String
  package let otherDatabase: String

  private static let dropsAtOnce = 500

  package static func make(on server: TestServer? = nil, rights: Rights = .own) async throws -> TestTarget {
    let server = if let server { server } else { try await TestServer.shared }
    let prefix = "t" + String(UInt32.random(in: 0 ... .max), radix: 36)
    let manager = "\(prefix)_manager"
    let target = TestTarget(
      server: server, prefix: prefix, manager: manager, grantor: rights == .own ? manager : "\(prefix)_super",
      owner: "\(prefix)_owner", database: "\(prefix)_main", otherDatabase: "\(prefix)_other")
    try await server.execute(
      "create role \(target.manager) login createrole; create role \(target.owner) nologin")
    if rights == .inherited { try await target.makeGrantor() }
    for database in [target.database, target.otherDatabase] {
      try await server.createDatabase(database)
      try await server.execute(
        """
        alter database \(database) owner to \(target.owner);
        grant connect on database \(database) to \(target.grantor) with grant option
        """)
    }
    return target
  }

  /// As the platform gives `databricks_superuser`: inherited, without SET and without ADMIN (LAKEBASE.md, 4.1).
  private func makeGrantor() async throws {
    let options = server.hasMembershipOptions ? " with inherit true, set false, admin false" : ""
    try await server.execute(
      "create role \(grantor) nologin; grant pg_read_all_data, pg_write_all_data, pg_monitor to \(grantor);"
        + "grant \(grantor) to \(manager)\(options)")
  }

  /// - Parameter made: roles that the manager made; from 16 on the server knows them by itself.
  package func remove(made: [String] = []) async throws {
    for database in [database, otherDatabase] { try await server.dropDatabase(database) }
    let roles = try await rows(
      """
      \(administered)
      select rolname from pg_roles r left join administered a on a.oid = r.oid
      where starts_with(rolname, '\(prefix)_') or rolname = any ($1) or a.oid is not null
      group by rolname order by rolname = '\(manager)', max(a.depth) desc nulls first
      """, [.textArray(made)], in: "postgres")
    // In parts, because each holds locks until its end.
    for start in stride(from: 0, to: roles.count, by: Self.dropsAtOnce) {
      let names = try roles[start..<min(start + Self.dropsAtOnce, roles.count)].map { row in
        try PostgresIdentifier(try row.text("rolname")).quoted
      }
      try await server.execute("drop role " + names.joined(separator: ", "))
    }
  }

  /// The roles that the manager made, and those that these made: PostgreSQL makes whoever makes a role its administrator.
  private var administered: String {
    """
    with recursive administered (oid, depth) as (
      select m.roleid, 1 from pg_auth_members m where m.member = '\(manager)'::regrole and m.admin_option
      union select m.roleid, a.depth + 1
      from pg_auth_members m join administered a on a.oid = m.member and m.admin_option where a.depth < 3
    )
    """
  }

  /// Runs a script as a superuser.
  package func execute(_ script: String, in database: String? = nil) async throws {
    try await server.execute(script, in: database ?? self.database)
  }

  package func rows(
    _ sql: String, _ parameters: [PostgresValue] = [], in database: String? = nil
  ) async throws -> [PostgresRow] {
    try await server.withAdmin(database ?? self.database) { try await $0.query(sql, parameters).rows }
  }

  /// Makes a schema whose USAGE the manager may grant.
  package func createSchema(_ schema: String, in database: String? = nil) async throws {
    try await execute(
      "create schema \(schema) authorization \(owner); grant usage on schema \(schema) to \(grantor) with grant option",
      in: database)
  }

  /// Makes tables with a serial column that the manager may grant on, in schemas that exist.
  package func createTables(_ names: [String], columns: String = "id serial, v text", in database: String? = nil)
    async throws
  {
    let script = names.map { name in
      "create table \(name) (\(columns)); alter table \(name) owner to \(owner);"
        + "grant select, insert, update, delete, truncate on \(name) to \(grantor) with grant option;"
    }
    try await execute("set client_min_messages = error;" + script.joined(separator: "\n"), in: database)
    let schemas = Set(names.map { String($0.prefixMatch(of: /"([^"]|"")*"|[^.]*/)?.output.0 ?? "") })
    for schema in schemas {
      try await execute(
        "grant usage on all sequences in schema \(schema) to \(grantor) with grant option", in: database)
    }
  }

  /// What a role holds by itself, as `family name privilege` by `grantor`.
  package func grants(to role: String, in database: String? = nil) async throws -> Set<String> {
    let rows = try await rows(
      """
      with item as (
        select case relkind when 'S' then 'sequence' else 'table' end as family, oid::regclass::text as name, relacl as acl
        from pg_class
        union all select 'schema', nspname, nspacl from pg_namespace
        union all select 'database', 'this', datacl from pg_database where datname = current_database()
      )
      select i.family || ' ' || i.name || ' ' || x.privilege_type as entry
      from item i cross join lateral aclexplode(i.acl) x join pg_roles r on r.oid = x.grantee
      where r.rolname = $1
      """, [.text(role)], in: database)
    return Set(try rows.map { try $0.text("entry") })
  }

  /// Whether the role could run a SELECT: with the schema's and the database's privileges.
  package func canRead(_ role: String, _ table: String, in database: String? = nil) async throws -> Bool {
    try await may(role, table, ["SELECT"], in: database)
  }

  package func canWrite(_ role: String, _ table: String, in database: String? = nil) async throws -> Bool {
    try await may(role, table, ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"], in: database)
  }

  private func may(_ role: String, _ table: String, _ privileges: [String], in database: String?) async throws -> Bool {
    let row = try await rows(
      """
      select bool_and(has_database_privilege(r.oid, current_database(), 'CONNECT')
        and has_schema_privilege(r.oid, c.relnamespace, 'USAGE') and has_table_privilege(r.oid, c.oid, p)) as may
      from pg_roles r, pg_class c, unnest($3::text[]) p where r.rolname = $1 and c.oid = $2::text::regclass
      """, [.text(role), .text(table), .textArray(privileges)], in: database)[0]
    return try row.optionalBool("may") ?? false
  }

  package func roleExists(_ role: String) async throws -> Bool {
    try await rows("select from pg_roles where rolname = $1", [.text(role)]).isEmpty == false
  }

  /// Changes with every write to an access control list of the instance.
  package func catalogVersions(in database: String? = nil) async throws -> [String] {
    try await rows(
      """
      \(administered)
      select 'class ' || oid || ' ' || xmin || ' ' || ctid::text as version from pg_class where oid >= 16384
      union all select 'schema ' || oid || ' ' || xmin from pg_namespace
      union all select 'database ' || oid || ' ' || xmin from pg_database where datname = current_database()
      union all select 'member ' || roleid || ' ' || member || ' ' || grantor || ' ' || xmin from pg_auth_members
        where roleid in (select oid from pg_roles where starts_with(rolname, '\(prefix)_') union select oid from administered)
          or member in (select oid from pg_roles where starts_with(rolname, '\(prefix)_'))
      order by 1
      """, in: database
    ).map { try $0.text("version") }
  }
}
