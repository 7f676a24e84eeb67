import Platform
import Postgres

/// The metadata database: all truth about connections, people, policies and jobs.
///
/// Every change of the desired state goes through `transaction`, together with the jobs that it needs.
package struct MetadataDatabase: Sendable {
  package let pool: PostgresPool
  package let configuration: PostgresConfiguration

  /// How long a job may fail before it is discarded; see `MetadataSession.settle`.
  package let retryLimit: Duration

  /// - Parameter connections: how many connections this process may hold at the same time.
  package init(
    configuration: PostgresConfiguration, connections: Int = 8,
    retryLimit: Duration = MetadataSession.defaultRetryLimit
  ) {
    self.configuration = configuration
    self.retryLimit = retryLimit
    pool = PostgresPool(configuration, limits: .init(size: connections))
  }

  /// Runs reads that need no common snapshot.
  package func read<Value: Sendable>(
    _ body: @Sendable (MetadataSession) async throws -> Value
  ) async throws -> Value {
    try await pool.withConnection { try await body(MetadataSession(connection: $0)) }
  }

  /// Runs `body` in one transaction, again from its start when it lost a deadlock (at most three times).
  package func transaction<Value: Sendable>(
    _ body: @Sendable (MetadataSession) async throws -> Value
  ) async throws -> Value {
    try await repeating {
      try await pool.withConnection { connection in
        try await connection.transaction { try await body(MetadataSession(connection: $0)) }
      }
    }
  }

  /// Runs a body that writes with one statement, which is a transaction by itself: saves the round trips of BEGIN and
  /// COMMIT. Again when it lost a deadlock.
  package func statement<Value: Sendable>(
    _ body: @Sendable (MetadataSession) async throws -> Value
  ) async throws -> Value {
    try await repeating { try await read(body) }
  }

  private func repeating<Value: Sendable>(_ attempt: () async throws -> Value) async throws -> Value {
    for _ in 0..<2 {
      do { return try await attempt() } catch let error as PostgresError where error.isConflict { continue }
    }
    return try await attempt()
  }

  /// How the server finds out, within 25 seconds, that the machine at the other end has vanished. Without them a session
  /// and its locks would outlive it by two hours.
  private static let keepalives = [
    "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
  ]

  /// Runs `body` with a connection of its own, outside the pool, on its thread: for LISTEN and for locks that last as
  /// long as a session.
  ///
  /// - Parameter longestSilence: The server ends a session that asks nothing for longer, so that the locks of a process
  ///   that is stopped, and still answers TCP, pass to another.
  package func dedicated<Value: Sendable>(
    longestSilence: Duration = .seconds(90), _ body: @Sendable (MetadataSession) async throws -> Value
  ) async throws -> Value {
    var configuration = configuration
    configuration.settings.merge(Self.keepalives) { $1 }
    configuration.settings["idle_session_timeout"] = String(longestSilence.wholeMilliseconds)
    let connection = try await PostgresConnection.connect(configuration)
    do {
      let value = try await connection.onOwnThread { try await body(MetadataSession(connection: connection)) }
      await connection.close()
      return value
    } catch {
      await connection.close()
      throw error
    }
  }

  /// Whether an error says that the database does not answer now, or is not the one that takes writes any more, so that
  /// trying again later helps.
  package static func isOutage(_ error: any Error) -> Bool {
    switch error {
    case let error as PostgresError:
      // A pooler in between says with 08P01 that it cannot reach the database.
      error.isTransient || error.code == .closed || SQLState.Class.connectionException ~= error.sqlState
    case is PoolError: true
    default: false
    }
  }

  package func shutDown() async { await pool.shutDown() }
}

/// A connection to the metadata database, inside a transaction or not; the stores are its extensions.
package struct MetadataSession: Sendable {
  package let connection: PostgresConnection

  package init(connection: PostgresConnection) { self.connection = connection }

  /// Begins to hear what is announced on a channel; needs a dedicated session.
  package func listen(to channel: String) async throws {
    try await connection.listen(try PostgresIdentifier(channel))
  }

  /// Waits until something is announced, and returns what was said; nothing if the deadline passes first.
  package func announcements(until deadline: Deadline) async throws -> [String] {
    try await connection.notifications(deadline: deadline).map(\.payload)
  }
}
