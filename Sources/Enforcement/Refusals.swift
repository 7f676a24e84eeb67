import Databricks
import Metadata
import Postgres

/// Turns what the drivers say into what a batch does (LAKEBASE.md, table (a)).
extension Targets {
  /// The instance's state, where the refusal alone does not tell.
  func stateAfterRefusal(
    _ error: PostgresError, _ workspace: Workspace, _ instance: InstanceReference
  ) async throws -> InstanceState? {
    guard Self.disposition(of: error) == .askInstance else { return nil }
    do { return try await workspace.state(of: instance) } catch { throw Self.classify(error) }
  }

  static func disposition(of error: PostgresError) -> Databricks.Disposition {
    LoginFailure.classify(
      sqlState: error.sqlState?.rawValue, message: error.message, detail: error.detail,
      transport: error.code != .authentication && error.code != .server)
  }

  /// Whether a new token may help: it was refused, or the gateway refuses although the instance runs.
  static func asksForNewToken(_ error: PostgresError, state: InstanceState?) -> Bool {
    switch disposition(of: error) {
    case .reauthenticate: true
    case .askInstance: state == .running && error.code == .authentication
    default: false
    }
  }

  /// - Parameter state: what the workspace said of a Lakebase instance after the refusal, if it was asked.
  static func classify(_ error: PostgresError, state: InstanceState?, of connection: Connection) -> TargetError {
    if error.code == .cancelled { return cancelled("cancelled while connecting") }
    if let closed = closedDatabase(error, connection) { return closed }
    let message = text(of: error)
    switch error.code {
    case .tls, .configuration:
      return TargetError(
        .unhealthy, message,
        remedy: "check the host and the TLS mode, and that SLUICE_CA_FILE holds the authority of its certificate")
    case .resolve:
      return TargetError(.unhealthy, message, remedy: "check the host of the connection, or give --host-address")
    default: break
    }
    let disposition = disposition(of: error)
    if connection.kind == .postgres, error.code == .authentication {
      return TargetError(
        .unhealthy, message,
        remedy: "check the user \(connection.username), its password, that it may log in, and the server's pg_hba.conf")
    }
    if error.code != .authentication, error.code != .server, state?.isConnectable ?? true, state != .idle {
      return TargetError(
        .soon(after: nil), message, remedy: "see that the server runs and can be reached from here: \(error.endpoint)")
    }
    return target(disposition, message, state)
  }

  /// One database that does not let us in, while the instance does.
  private static func closedDatabase(_ error: PostgresError, _ connection: Connection) -> TargetError? {
    let name = String(error.endpoint.split(separator: "/").last ?? "")
    func statement(_ text: (String, String) -> String) throws(PostgresError) -> String {
      text(try PostgresIdentifier(name).quoted, try PostgresIdentifier(connection.username).quoted)
    }
    do throws(PostgresError) {
      switch error.sqlState {
      case .invalidCatalogName:
        return TargetError(
          .databaseGone, error.message,
          remedy: "if it was dropped, sync the connection: sluice submit sync \(connection.name)")
      case .insufficientPrivilege:
        let grant = try statement { "GRANT CONNECT ON DATABASE \($0) TO \($1)" }
        return TargetError(.databaseClosed, error.message, remedy: "have its owner run: \(grant); then retry the job")
      case .objectNotInPrerequisiteState:
        let alter = try statement { database, _ in "ALTER DATABASE \(database) ALLOW_CONNECTIONS true" }
        return TargetError(.databaseClosed, error.message, remedy: "have its owner run: \(alter); then retry the job")
      default: return nil
      }
    } catch {
      return nil
    }
  }

  static func classify(_ error: DatabricksError) -> TargetError {
    if error.code == .cancelled { return cancelled("cancelled while asking the workspace") }
    let status = error.status.map { " (HTTP \($0))" } ?? ""
    let message = "\(error.operation) failed\(status): \(error.message)"
    switch error.code {
    case .transport(let failure) where failure.code == .certificate || failure.code == .tls:
      return TargetError(
        .unhealthy, message,
        remedy: "check the workspace's URL, and that SLUICE_CA_FILE holds the authority of its certificate")
    case .transport(let failure) where failure.isTransient:
      return TargetError(.soon(after: nil), message, remedy: failure.remedy)
    default: return target(error.disposition, message, nil)
    }
  }

  /// What happened and where, without a remedy: that one stands beside it.
  private static func text(of error: PostgresError) -> String {
    let code = error.sqlState.map { " [\($0)]" } ?? ""
    return error.endpoint.isEmpty ? "\(error.message)\(code)" : "\(error.endpoint): \(error.message)\(code)"
  }

  private static func cancelled(_ message: String) -> TargetError {
    TargetError(.cancelled, message, remedy: "the work was given back and runs elsewhere")
  }

  private static let soon = "if it stays, see that the instance answers: sluice connection check"

  private static func target(
    _ disposition: Databricks.Disposition, _ message: String, _ state: InstanceState?
  ) -> TargetError {
    switch disposition {
    case .askInstance:
      guard let state else { return TargetError(.soon(after: nil), message, remedy: soon) }
      if state.isConnectable && state != .idle {
        return TargetError(
          .unhealthy, message,
          remedy: "the instance runs but refuses: check IP access lists and private link, and the service principal's "
            + "role")
      }
      return target(state.dispositionOfRefusedLogin, "\(message) (the instance is \(state))", nil)
    case .soon(let delay): return TargetError(.soon(after: delay), message, remedy: soon)
    case .whenRunning:
      return TargetError(.stopped, message, remedy: "start the instance; the jobs wait and cost nothing")
    case .reauthenticate:
      return TargetError(
        .unhealthy, message, remedy: "check the client id, its secret, and that its role exists in the database")
    case .forbidden(let remedy), .permanent(let remedy): return TargetError(.unhealthy, message, remedy: remedy)
    }
  }

  /// What an error in the middle of a batch means for it: the session is gone, or something of ours is wrong.
  package static func classify(midway error: any Error) -> TargetError {
    switch error {
    case let error as TargetError: error
    case is CancellationError: cancelled("cancelled")
    case let error as PostgresError where error.code == .cancelled: cancelled("cancelled")
    case let error as PostgresError: TargetError(.soon(after: nil), text(of: error), remedy: soon)
    default: TargetError(.soon(after: nil), "\(error)", remedy: soon)
    }
  }
}
