/// What went wrong with a PostgreSQL connection or a statement.
///
/// The description holds no parameter, no row data and no secret: server messages of the classes 22 and 23, which may
/// quote data, are replaced by the condition and the names of the constraint, table and column.
package struct PostgresError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  package enum Code: String, Sendable {
    /// The caller's configuration, identifier or parameter cannot be used.
    case configuration
    /// The host name has no address.
    case resolve
    /// No TCP or socket connection came about.
    case connect
    /// The two sides could not agree on encryption, or the server's certificate does not prove who it is.
    case tls
    /// The server refused the login.
    case authentication
    /// The server answered with an error; `sqlState` says which.
    case server
    /// The connection ended in the middle of a statement, whose outcome is unknown.
    case connectionLost
    /// The deadline passed first.
    case timedOut
    /// The caller's task was cancelled.
    case cancelled
    /// A result does not hold what the caller expects of it.
    case decoding
    /// The connection was closed before.
    case closed
    /// Driver, caller and server are not in step; the message says how.
    case protocolViolation
  }

  package let code: Code
  package let sqlState: SQLState?
  package let message: String
  /// The server's DETAIL, to tell apart refused logins and dependent objects; nil for classes that may quote row data.
  package let detail: String?
  /// `host:port/database`.
  package let endpoint: String
  /// The statement's first word, such as `GRANT`.
  package var statement: String?
  /// Which statement of a pipeline it was, counted from 0.
  package var statementIndex: Int?
  package let file: String
  package let line: Int

  package init(
    _ code: Code, _ message: String, sqlState: SQLState? = nil, detail: String? = nil, endpoint: String = "",
    file: String = #fileID, line: Int = #line
  ) {
    self.code = code
    self.message = message
    self.sqlState = sqlState
    self.detail = detail
    self.endpoint = endpoint
    self.file = file
    self.line = line
  }

  /// The same failure under another code, for a cancelled statement whose cause the driver knows.
  func recoded(_ code: Code, _ message: String) -> PostgresError {
    var error = PostgresError(code, message, sqlState: sqlState, endpoint: endpoint, file: file, line: line)
    error.statement = statement
    error.statementIndex = statementIndex
    return error
  }

  /// Why none of several servers gave a session. If waiting helps with one of them, it helps.
  static func noServer(of endpoint: String, _ failures: [PostgresError]) -> PostgresError {
    precondition(!failures.isEmpty, "a configuration names a server")
    if failures.count == 1 { return failures[0] }
    let telling = failures.first(where: \.isTransient) ?? failures[0]
    let texts = failures.map { "\($0.endpoint): \($0.message)" }.joined(separator: "; ")
    return PostgresError(
      telling.code, "no server gives a session; \(texts)", sqlState: telling.sqlState, detail: telling.detail,
      endpoint: endpoint)
  }

  package var description: String {
    var text = "postgres \(code.rawValue)"
    if !endpoint.isEmpty { text += " at \(endpoint)" }
    if let statement { text += " in \(statement)" }
    if let statementIndex { text += " (statement \(statementIndex + 1) of the pipeline)" }
    text += ": \(message)"
    if let sqlState { text += " [\(sqlState)]" }
    if let remedy { text += "; \(remedy)" }
    return text
  }

  package var debugDescription: String { "\(description) (\(file):\(line))" }
}

extension PostgresError {
  /// True if the same call may succeed a little later without anybody changing anything.
  package var isTransient: Bool {
    switch sqlState {
    case .protocolViolation: return false
    case SQLState.Class.connectionException, SQLState.Class.insufficientResources: return true
    case .adminShutdown, .crashShutdown, .cannotConnectNow, .readOnlySQLTransaction: return true
    case .idleInTransactionSessionTimeout, .idleSessionTimeout: return true
    default: break
    }
    switch code {
    case .resolve, .connect, .connectionLost, .timedOut: return true
    default: return false
    }
  }

  /// True if the statement lost against another session and may win at once when it is repeated.
  package var isConflict: Bool {
    switch sqlState {
    case .serializationFailure, .deadlockDetected, .lockNotAvailable: true
    case .internalError:
      message.contains("tuple concurrently updated") || message.contains("tuple concurrently deleted")
    default: false
    }
  }

  private var remedy: String? {
    switch code {
    case .resolve: "check the host name and the name server"
    case .connect: "check that the server runs, and its host and port"
    case .tls:
      "give the authority that signed the server's certificate (sslrootcert) and the host name it was made for"
    case .authentication: "check the user and the password or token, and that the role may log in"
    case .timedOut: "look what the server waits for, or allow more time"
    case .connectionLost: "connect again and read what the server holds before repeating the statement"
    case .closed: "open a new connection"
    case .server where sqlState == .insufficientPrivilege: "grant the missing privilege to the user of the connection"
    default: nil
    }
  }
}
