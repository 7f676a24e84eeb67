import Logging
import Platform
import Synchronization

/// A connection to a PostgreSQL database, on a thread of its own.
///
/// Calls run one after another. Each ends at its deadline or when its task is cancelled: the server is asked to stop
/// the statement, and if it has not done so within the configuration's `cancelGrace`, the connection is closed. A
/// call on a cancelled task does not begin. A result that comes before the server heard of the cancellation counts.
package actor PostgresConnection {
  package nonisolated let configuration: PostgresConfiguration
  private let executor: ThreadExecutor
  private let session: Session
  /// True while a COPY is under way, between whose chunks other calls could come.
  private var isCopying = false
  /// The deadline of the open transaction, which bounds the calls inside that name none.
  private var transactionDeadline: Deadline?
  /// Since when the connection has been open, idle and outside any transaction, as its last call left it; nil if it is not.
  private nonisolated let restingSince = Mutex<ContinuousClock.Instant?>(nil)

  package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  private init(_ configuration: PostgresConfiguration) throws(PostgresError) {
    self.configuration = configuration
    executor = ThreadExecutor(name: "postgres")
    session = try Session(configuration)
  }

  /// Connects and logs in, at most until the deadline, and never longer than the configuration's `connectTimeout`: to
  /// the first server that does what the configuration asks of a session. Each has an equal share of the time that is left.
  package static func connect(
    _ configuration: PostgresConfiguration, deadline: Deadline? = nil
  ) async throws(PostgresError) -> PostgresConnection {
    let timeout = Deadline.after(configuration.connectTimeout)
    let limit = deadline.map { min($0, timeout) } ?? timeout
    let servers = configuration.servers
    var failures: [PostgresError] = []
    for (index, server) in servers.enumerated() {
      do throws(PostgresError) {
        let share = Deadline.after(limit.remaining / (servers.count - index))
        let connection = try await connect(to: server.configuration, until: share)
        server.noteServing()
        return connection
      } catch {
        if error.code == .cancelled { throw error }
        failures.append(error)
      }
    }
    throw PostgresError.noServer(of: configuration.endpoint, failures)
  }

  private static func connect(
    to configuration: PostgresConfiguration, until limit: Deadline
  ) async throws(PostgresError) -> PostgresConnection {
    let addresses = try await configuration.addresses(deadline: limit)
    let connection = try PostgresConnection(configuration)
    try await connection.run(until: limit) { session throws(PostgresError) in
      try session.open(addresses: addresses, until: limit)
    }
    return connection
  }

  /// Runs one statement with parameters.
  package func query(
    _ sql: String, _ parameters: [PostgresValue] = [], deadline: Deadline? = nil
  ) async throws(PostgresError) -> PostgresResult {
    try await run(until: limit(deadline)) { session throws(PostgresError) in
      try session.query(PostgresStatement(sql, parameters))
    }
  }

  /// Runs one statement with parameters that comes again and again: the server parses it once a connection. Its text
  /// must be one of a few, not made from values.
  ///
  /// - Parameter isPlannedOnce: whether it is planned once a connection, too: for a statement over many tables that needs
  ///   the same plan for all values, of which the search takes longer than the run
  package func queryPrepared(
    _ sql: String, _ parameters: [PostgresValue] = [], isPlannedOnce: Bool = false, deadline: Deadline? = nil
  ) async throws(PostgresError) -> PostgresResult {
    try await run(until: limit(deadline)) { session throws(PostgresError) in
      try session.queryPrepared(PostgresStatement(sql, parameters), isPlannedOnce: isPlannedOnce)
    }
  }

  /// Runs a script of several statements without parameters, in one implicit transaction unless the script or the
  /// caller opens one; returns what the server remarked. The script must not hold COPY.
  @discardableResult
  package func execute(_ script: String, deadline: Deadline? = nil) async throws(PostgresError) -> [PostgresNotice] {
    try await run(until: limit(deadline)) { session throws(PostgresError) in try session.execute(script) }
  }

  /// Runs statements in pipeline mode: one implicit transaction unless one is open; all of them or none.
  ///
  /// The error names the failed statement by `statementIndex`.
  package func pipeline(
    _ statements: [PostgresStatement], deadline: Deadline? = nil
  ) async throws(PostgresError) -> [PostgresResult] {
    if statements.isEmpty { return [] }
    return try await run(until: limit(deadline)) { session throws(PostgresError) in try session.pipeline(statements) }
  }

  /// Subscribes the session to a channel.
  package func listen(_ channel: PostgresIdentifier) async throws(PostgresError) {
    _ = try await query("LISTEN \(channel.quoted)")
  }

  /// Waits for notifications; empty when the deadline passes first. Other calls wait until it returns.
  package func notifications(deadline: Deadline) async throws(PostgresError) -> [PostgresNotification] {
    if deadline.hasPassed { return [] }
    return try await run(until: deadline) { session throws(PostgresError) in
      try session.notifications(until: deadline)
    }
  }

  /// PostgreSQL's version number, such as 170010 for 17.10.
  package var serverVersion: Int { session.serverVersion }

  /// True if the connection is open, idle and outside any transaction.
  package var isUsable: Bool { !isCopying && session.isIdle }

  /// How long it may rest until the server is suspected of having closed it meanwhile.
  private static let trust: Duration = .milliseconds(100)

  /// True if its last call left it usable a moment ago. Unlike `isUsable` it does not go to the connection's thread,
  /// which takes longer than a short statement.
  package nonisolated var wasJustUsable: Bool {
    restingSince.withLock { $0.map { $0.duration(to: .now) < Self.trust } ?? false }
  }

  /// Runs `body` on the connection's own thread, so that it does not go there and back for each statement.
  package nonisolated func onOwnThread<Value: Sendable>(
    _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withTaskExecutorPreference(executor, operation: body)
  }

  package var isInTransaction: Bool { session.isInTransaction }
  var isActive: Bool { session.isActive }
  var isCopyOpen: Bool { isCopying }

  /// Closes the connection; the server rolls back what is open.
  package func close() {
    session.close()
    noteRest()
  }
}

// How calls reach the session.
extension PostgresConnection {
  /// The deadline of a call: the one it names, or the statement timeout; never later than the transaction's.
  func limit(_ deadline: Deadline?) -> Deadline {
    let own = deadline ?? .after(configuration.statementTimeout)
    return transactionDeadline.map { min($0, own) } ?? own
  }

  func setTransactionDeadline(_ deadline: Deadline?) { transactionDeadline = deadline }
  func setCopying(_ isCopying: Bool) {
    self.isCopying = isCopying
    noteRest()
  }

  private func noteRest() {
    let rests = !isCopying && session.isAtRest
    restingSince.withLock { $0 = rests ? .now : nil }
  }

  /// Runs a call that the cancellation of its task interrupts.
  func run<Value: Sendable>(
    until deadline: Deadline, partOfCopy: Bool = false,
    _ body: (Session) throws(PostgresError) -> Value
  ) async throws(PostgresError) -> Value {
    try requireTurn(partOfCopy)
    let signal = session.signal
    let result: Result<Value, PostgresError> = await withTaskCancellationHandler {
      signal.clear()
      // A cancellation from here on raises the signal again.
      if Task.isCancelled {
        return .failure(session.failure(.cancelled, "the task was cancelled before the call began"))
      }
      return perform(until: deadline, body)
    } onCancel: {
      signal.raise()
    }
    return try result.get()
  }

  /// Runs a call that brings the connection back in order and must not be interrupted, bounded by its deadline.
  func runUncancelled<Value: Sendable>(
    until deadline: Deadline, _ body: (Session) throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    session.signal.clear()
    return try perform(until: deadline, body).get()
  }

  private func perform<Value>(
    until deadline: Deadline, _ body: (Session) throws(PostgresError) -> Value
  ) -> Result<Value, PostgresError> {
    defer { noteRest() }
    do throws(PostgresError) {
      return .success(
        try session.perform(until: deadline) { () throws(PostgresError) -> Value in try body(session) })
    } catch {
      return .failure(error)
    }
  }

  private func requireTurn(_ partOfCopy: Bool) throws(PostgresError) {
    if isCopying && !partOfCopy {
      throw session.failure(.protocolViolation, "a COPY is under way on this connection; wait for its end")
    }
  }
}

extension PostgresConfiguration {
  /// What to connect to, in order; nil lets libpq use `host`, which is then a socket directory.
  fileprivate func addresses(deadline: Deadline) async throws(PostgresError) -> [String?] {
    if isSocketDirectory { return [nil] }
    if let hostAddress { return [hostAddress] }
    do {
      return try await Resolver.addresses(of: host, deadline: deadline)
    } catch {
      let code: PostgresError.Code =
        switch error.code {
        case .notFound: .resolve
        case .timedOut: .timedOut
        case .cancelled: .cancelled
        }
      throw PostgresError(code, "\(error)", endpoint: endpoint)
    }
  }
}
