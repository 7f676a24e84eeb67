import Databricks
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

  static func classify(_ error: PostgresError, state: InstanceState?) -> TargetError {
    if error.code == .cancelled {
      return TargetError(.cancelled, "cancelled while connecting", remedy: "nothing: the work was given back")
    }
    if error.sqlState == .invalidCatalogName {
      return TargetError(.databaseGone, error.message, remedy: "sync the connection")
    }
    if error.sqlState == .insufficientPrivilege {
      return TargetError(
        .databaseClosed, error.message,
        remedy: "have its owner GRANT CONNECT ON DATABASE … TO Sluice's role, then retry the job")
    }
    if error.sqlState == .objectNotInPrerequisiteState {
      return TargetError(
        .databaseClosed, error.message, remedy: "ALTER DATABASE … ALLOW_CONNECTIONS true, then retry the job")
    }
    if error.code == .tls || error.code == .configuration {
      return TargetError(.unhealthy, error.description, remedy: "check the host, SLUICE_CA_FILE and the TLS mode")
    }
    if error.code == .resolve {
      return TargetError(.unhealthy, error.message, remedy: "check the host of the connection, or give --host-address")
    }
    return target(disposition(of: error), error.description, state)
  }

  static func classify(_ error: DatabricksError) -> TargetError {
    if error.code == .cancelled {
      return TargetError(.cancelled, "cancelled while asking the workspace", remedy: "nothing: the work was given back")
    }
    return target(error.disposition, error.description, nil)
  }

  private static func target(
    _ disposition: Databricks.Disposition, _ message: String, _ state: InstanceState?
  ) -> TargetError {
    switch disposition {
    case .askInstance:
      guard let state else { return TargetError(.soon(after: nil), message, remedy: "nothing: it is tried again") }
      if state.isConnectable && state != .idle {
        return TargetError(
          .unhealthy, message,
          remedy: "the instance runs but refuses: check IP access lists and private link, and the service principal's "
            + "role")
      }
      return target(state.dispositionOfRefusedLogin, "\(message) (the instance is \(state))", nil)
    case .soon(let delay): return TargetError(.soon(after: delay), message, remedy: "nothing: it is tried again")
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
    case is CancellationError:
      TargetError(.cancelled, "cancelled", remedy: "nothing: the work was given back")
    case let error as PostgresError where error.code == .cancelled:
      TargetError(.cancelled, "cancelled", remedy: "nothing: the work was given back")
    default: TargetError(.soon(after: nil), "\(error)", remedy: "nothing: it is tried again")
    }
  }
}
