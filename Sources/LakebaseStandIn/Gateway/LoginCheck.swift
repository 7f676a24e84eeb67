import Platform
import Postgres

/// Whether the token that came as password lets the user in.
///
/// On a real instance this happens inside the server, by a security label that `databricks_create_role` puts on the
/// role; here the label is a comment, which like a label is shared by all databases and goes with the role.
struct LoginCheck: Sendable {
  private static let deadline = Duration.seconds(10)
  private static let binding = """
    SELECT coalesce(shobj_description(oid, 'pg_authid') LIKE 'databricks_auth %', false) AS is_bound
    FROM pg_roles WHERE rolname = $1
    """

  let state: WorkspaceState

  func verify(_ token: String, user: String, instance: StandIn.Instance) async throws {
    guard let claims = state.mint.claims(of: token, at: state.date), claims.scope == Claims.databaseScope,
      let instances = claims.instances,
      instances.contains(instance.uid) || instances.contains(Claims.anyInstance), claims.sub == user
    else { throw Refusal.login(instance.kind) }
    guard try await hasBinding(user, instance) else { throw Refusal.unknownRole(user) }
  }

  private func hasBinding(_ user: String, _ instance: StandIn.Instance) async throws -> Bool {
    let connection: PostgresConnection
    do throws(PostgresError) {
      connection = try await .connect(instance.administration(), deadline: .after(Self.deadline))
    } catch { throw Refusal.silent }
    do {
      let rows = try await connection.query(Self.binding, [.text(user)], deadline: .after(Self.deadline)).rows
      await connection.close()
      return try rows.first?.bool("is_bound") ?? false
    } catch {
      await connection.close()
      throw Refusal.silent
    }
  }
}

extension StandIn.Instance {
  /// The stand-in's own way into the real server.
  func administration(database: String = "postgres") -> PostgresConfiguration {
    let (host, port) =
      switch upstream {
      case .socket(let directory, let port): (directory, port)
      case .loopback(let port): ("127.0.0.1", port)
      }
    var configuration = PostgresConfiguration(
      host: host, port: port, database: database, user: superuser, password: nil, tls: .disable)
    configuration.applicationName = "lakebase-stand-in"
    return configuration
  }
}
