import Platform

/// Connections to one database, lent out one caller at a time; those that are not usable any more are closed.
package struct PostgresPool: Sendable {
  package typealias Limits = Pool<PostgresConnection>.Limits
  private let pool: Pool<PostgresConnection>

  package init(_ configuration: PostgresConfiguration, limits: Limits) {
    pool = Pool(
      name: configuration.endpoint, limits: limits,
      make: { try await PostgresConnection.connect(configuration, deadline: $0) },
      isUsable: { connection in
        if connection.wasJustUsable { return true }
        return await connection.isUsable
      },
      close: { await $0.close() })
  }

  /// Lends a connection to `body`, which runs on the connection's thread. The deadline bounds the wait for it; without
  /// one, the limits' `wait` does.
  package func withConnection<Value: Sendable>(
    deadline: Deadline? = nil, _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    try await pool.withResource(deadline: deadline) { connection in
      try await connection.onOwnThread { try await body(connection) }
    }
  }

  /// Lends a connection and runs `body` in a transaction on it; the deadline holds for both.
  package func withTransaction<Value: Sendable>(
    isolation: PostgresConnection.Isolation = .readCommitted, readOnly: Bool = false, deadline: Deadline? = nil,
    _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    try await withConnection(deadline: deadline) { connection in
      try await connection.transaction(isolation: isolation, readOnly: readOnly, deadline: deadline, body)
    }
  }

  /// Closes idle connections and refuses further callers; those that are lent close when they come back.
  package func shutDown() async { await pool.shutDown() }
}
