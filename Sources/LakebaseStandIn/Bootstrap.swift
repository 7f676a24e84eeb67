import Platform
import Postgres

/// Makes a plain PostgreSQL look like a Lakebase instance from inside: roles, databases, triggers, databricks_auth.
///
/// Needs PostgreSQL 16 or later (15 lacks the ADMIN rules that Sluice has to live with) and the server's bootstrap
/// superuser, which should be `cloud_admin`. May be run again on the same server.
package struct Bootstrap: Sendable {
  package static let database = "databricks_postgres"
  private static let limit = Duration.seconds(60)

  let instance: StandIn.Instance

  package init(_ instance: StandIn.Instance) { self.instance = instance }

  package func run(
    creator: String = "creator@example.com", identities: [StandIn.Identity]
  ) async throws {
    try await withConnection(to: "postgres") { connection in
      try await execute(PackageResources.cluster_sql, on: connection)
      try await ensureDatabase(creator: creator, on: connection)
    }
    for database in ["template1", Self.database] {
      try await withConnection(to: database) { try await execute(PackageResources.database_sql, on: $0) }
    }
    try await withConnection(to: Self.database) { connection in
      for identity in identities where identity.isPrivileged { try await ensurePrivileged(identity, on: connection) }
    }
  }

  /// The tables of `sluice dev --demo`.
  package func addExample() async throws {
    try await withConnection(to: Self.database) { try await execute(PackageResources.example_sql, on: $0) }
  }

  /// One of everything that makes grants hard, for tests; once a server.
  package func addMenagerie() async throws {
    try await withConnection(to: Self.database) { try await execute(PackageResources.menagerie_sql, on: $0) }
  }

  private func ensureDatabase(creator: String, on connection: PostgresConnection) async throws {
    let owner = try PostgresIdentifier(creator).quoted
    if try await isMissing("SELECT FROM pg_roles WHERE rolname = $1", creator, on: connection) {
      _ = try await connection.execute(
        "CREATE ROLE \(owner) LOGIN CREATEDB CREATEROLE BYPASSRLS; GRANT databricks_superuser TO \(owner);"
          + "COMMENT ON ROLE \(owner) IS 'databricks_auth id=1,type=user'")
    }
    if try await isMissing("SELECT FROM pg_database WHERE datname = $1", Self.database, on: connection) {
      _ = try await connection.execute("CREATE DATABASE \(Self.database) OWNER \(owner)", deadline: .after(Self.limit))
    }
  }

  /// The role that Sluice works with: CREATEROLE of its own, and databricks_superuser as the platform gives it.
  private func ensurePrivileged(
    _ identity: StandIn.Identity, on connection: PostgresConnection
  ) async throws {
    let role = try PostgresIdentifier(identity.name).quoted
    if try await isMissing("SELECT FROM pg_roles WHERE rolname = $1", identity.name, on: connection) {
      _ = try await connection.query(
        "SELECT databricks_create_role($1, $2)", [.text(identity.name), .text(identity.kind.rawValue)])
    }
    let version = await connection.serverVersion
    let options = version >= 160_000 ? " WITH INHERIT TRUE, SET FALSE, ADMIN FALSE" : ""
    _ = try await connection.execute("ALTER ROLE \(role) CREATEROLE; GRANT databricks_superuser TO \(role)\(options)")
  }

  private func isMissing(_ query: String, _ name: String, on connection: PostgresConnection) async throws -> Bool {
    try await connection.query(query, [.text(name)]).rows.isEmpty
  }

  private func execute(_ script: [UInt8], on connection: PostgresConnection) async throws {
    _ = try await connection.execute(String(decoding: script, as: UTF8.self), deadline: .after(Self.limit))
  }

  private func withConnection(
    to database: String, _ body: (PostgresConnection) async throws -> Void
  ) async throws {
    let connection = try await PostgresConnection.connect(
      instance.administration(database: database), deadline: .after(Self.limit))
    do {
      try await body(connection)
      await connection.close()
    } catch {
      await connection.close()
      throw error
    }
  }
}
