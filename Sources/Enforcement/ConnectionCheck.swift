import Databricks
import Logging
import Metadata
import Platform
import Postgres

/// One line of a registration's checks.
package struct CheckLine: Sendable {
  package enum Verdict: String, Sendable {
    case passed, failed
    /// Worth knowing, and no reason to refuse.
    case warning
  }

  package let name: String
  package let verdict: Verdict
  package let message: String
  package let remedy: String?
}

/// Validates a connection by doing what Sluice will have to do: from the token to a writable catalog. Nothing in the
/// target is changed: what is tried is rolled back.
package struct ConnectionCheck: Sendable {
  let targets: Targets

  package init(targets: Targets) { self.targets = targets }

  /// The checks in order; after one that the others need, they end. Also the server's version, if it was reached.
  package func run(_ connection: Connection, secret: Secret) async -> (lines: [CheckLine], serverVersion: Int?) {
    var lines: [CheckLine] = []
    do {
      if connection.kind == .lakebase { try await checkWorkspace(connection, secret, &lines) }
      let session = try await attempt("login", &lines) {
        let session = try await targets.open(connection, secret: secret)
        return (session, "as \(connection.username), \(Self.words(for: connection.tls))")
      }
      do {
        let version = try await checkTarget(session, connection, &lines)
        lines += try await GrantOptionCheck(targets: targets, connection: connection, secret: secret).lines(in: session)
        await session.close()
        return (lines, version)
      } catch {
        await session.close()
        throw error
      }
    } catch is Stop { return (lines, nil) } catch {
      lines.append(CheckLine(name: "check", verdict: .failed, message: "\(error)", remedy: nil))
      return (lines, nil)
    }
  }

  /// Thrown after a check whose failure makes the following ones pointless; its line is written already.
  private struct Stop: Error {}

  private func attempt<Value>(
    _ name: String, _ lines: inout [CheckLine], _ body: () async throws -> (Value, String)
  ) async throws -> Value {
    do {
      let (value, message) = try await body()
      lines.append(CheckLine(name: name, verdict: .passed, message: message, remedy: nil))
      return value
    } catch let error as TargetError {
      // Nothing has been synced yet at a registration, so a sync would not help.
      let remedy =
        error.disposition == .databaseGone
        ? "create the database, or name another: --database (the connection itself is worked in it)" : error.remedy
      lines.append(CheckLine(name: name, verdict: .failed, message: error.message, remedy: remedy))
    } catch {
      lines.append(CheckLine(name: name, verdict: .failed, message: "\(error)", remedy: nil))
    }
    throw Stop()
  }

  private static func words(for mode: Connection.TLS) -> String {
    switch mode {
    case .disable: "without TLS"
    case .require: "with TLS, the certificate not checked"
    case .verifyFull: "with TLS, the certificate checked"
    }
  }

  private func checkWorkspace(
    _ connection: Connection, _ secret: Secret, _ lines: inout [CheckLine]
  ) async throws {
    // The state needs the token, so a refused secret is reported by it.
    let state = try await attempt("workspace token and instance state", &lines) {
      let state = try await targets.instanceState(of: connection, secret: secret)
      return (state, "the instance is \(state.map { "\($0)" } ?? "unknown")")
    }
    if let state, !state.isConnectable {
      lines.append(
        CheckLine(
          name: "instance runs", verdict: .failed, message: "the instance is \(state)",
          remedy: "start it, or register with --force and let it sync when it runs"))
      throw Stop()
    }
    try await attempt("database credential", &lines) {
      try await targets.credential(for: connection, secret: secret)
      return ((), "minted")
    }
  }

  private func checkTarget(
    _ session: PostgresConnection, _ connection: Connection, _ lines: inout [CheckLine]
  ) async throws -> Int {
    let version = await session.serverVersion
    lines.append(
      CheckLine(
        name: "server version", verdict: version >= 150_000 ? .passed : .failed,
        message: "PostgreSQL \(version / 10_000).\(version % 10_000)",
        remedy: version >= 150_000 ? nil : "Sluice needs PostgreSQL 15 or newer"))
    let facts = try await session.query(statement(PackageResources.check_login_sql)).rows[0]
    let role = try PostgresIdentifier(connection.username).quoted
    lines.append(
      Self.line(
        "writable catalog", try !facts.bool("is_replica"), "the server accepts writes", "the server is read-only",
        "connect to the primary, not to a replica"))
    lines.append(
      Self.line(
        "CREATEROLE", try facts.bool("can_create_roles"), "the role may create roles",
        "the role \(connection.username) has no CREATEROLE",
        "run as a superuser: ALTER ROLE \(role) CREATEROLE"
          + (connection.kind == .lakebase ? " (being in databricks_superuser does not give it)" : "")))
    if connection.kind == .lakebase {
      lines.append(
        Self.line(
          "databricks_superuser", try facts.bool("is_databricks_superuser"), "the role is a member",
          "the role \(connection.username) is not a member of databricks_superuser",
          "add the membership in the instance's role settings (Databricks UI or API)"))
    }
    try await checkRoleMaking(session, &lines)
    return version
  }

  private static func line(
    _ name: String, _ passed: Bool, _ good: String, _ bad: String, _ remedy: String
  ) -> CheckLine {
    CheckLine(
      name: name, verdict: passed ? .passed : .failed, message: passed ? good : bad, remedy: passed ? nil : remedy)
  }

  /// Makes a role and grants it, and takes it all back.
  private func checkRoleMaking(_ session: PostgresConnection, _ lines: inout [CheckLine]) async throws {
    struct Undo: Error {}
    let role = try PostgresIdentifier("sluice_check_\(UInt32.random(in: 0 ... .max))").quoted
    do {
      try await session.transaction { session in
        _ = try await session.query("CREATE ROLE \(role) NOLOGIN")
        _ = try await session.query("COMMENT ON ROLE \(role) IS 'tried by Sluice'")
        throw Undo()
      }
    } catch is Undo {
      lines.append(
        CheckLine(name: "makes roles", verdict: .passed, message: "tried and rolled back", remedy: nil))
    } catch let error as PostgresError where error.code == .server {
      lines.append(
        CheckLine(
          name: "makes roles", verdict: .failed, message: error.message,
          remedy: "give the role CREATEROLE and a writable instance"))
    }
  }
}
