import Metadata
import Platform
import Postgres

/// Which running server answers, whatever name or address it was reached by.
///
/// The system identifier alone would not do: a restored or branched copy has the one of its original. The moment at
/// which the server started, in microseconds, tells the two apart.
package struct InstanceIdentity: Sendable {
  let startedAt: String
  /// Nil where the role may not read it.
  let systemIdentifier: String?

  package func isSame(as other: InstanceIdentity) -> Bool {
    guard startedAt == other.startedAt else { return false }
    guard let mine = systemIdentifier, let others = other.systemIdentifier else { return true }
    return mine == others
  }
}

extension Targets {
  /// Asks a target who it is, with the secret given or else with the stored one.
  package func identity(of connection: Connection, secret: Secret? = nil) async throws -> InstanceIdentity {
    let session =
      if let secret { try await open(connection, secret: secret) } else { try await open(connection) }
    do {
      let started = try await session.query(
        "select extract(epoch from pg_postmaster_start_time())::text as started_at")
      let identity = InstanceIdentity(
        startedAt: try started.rows[0].text("started_at"), systemIdentifier: try await Self.systemIdentifier(session))
      await session.close()
      return identity
    } catch {
      await session.close()
      throw error
    }
  }

  private static func systemIdentifier(_ session: PostgresConnection) async throws(PostgresError) -> String? {
    do {
      return try await session.query("select system_identifier::text as id from pg_control_system()").rows[0].text("id")
    } catch  where error.sqlState == .insufficientPrivilege {
      return nil
    }
  }
}
