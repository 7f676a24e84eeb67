import Platform

extension PostgresConnection {
  package enum Isolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
  }

  /// How long a rollback may take; then the connection is closed, which rolls back as well.
  private static let rollbackTimeout: Duration = .seconds(5)

  /// Runs `body` in a transaction: commits when it returns, rolls back when it throws or its task is cancelled.
  ///
  /// The deadline holds for everything inside. If `connectionLost` comes out of the COMMIT, its outcome is unknown.
  package nonisolated func transaction<Value: Sendable>(
    isolation: Isolation = .readCommitted, readOnly: Bool = false, deadline: Deadline? = nil,
    _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    try await begin(isolation, readOnly, deadline)
    do {
      let value = try await body(self)
      try await commit()
      return value
    } catch {
      await rollBack()
      throw error
    }
  }

  /// Runs `body` in a part of the open transaction that can fail alone: its error undoes what `body` did, and is thrown.
  package nonisolated func savepoint<Value: Sendable>(
    _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    try await execute("SAVEPOINT sluice")
    do {
      let value = try await body(self)
      try await execute("RELEASE SAVEPOINT sluice")
      return value
    } catch {
      await rollBackToSavepoint()
      throw error
    }
  }

  /// Runs statements in pipeline mode in a part of the open transaction that can fail alone: all of them or none, with
  /// one round trip if none fails.
  ///
  /// The error names the failed statement by `statementIndex`.
  package nonisolated func savepoint(
    _ statements: [PostgresStatement]
  ) async throws(PostgresError) -> [PostgresResult] {
    let results: [PostgresResult]
    do throws(PostgresError) {
      results = try await pipeline(
        [PostgresStatement("SAVEPOINT sluice")] + statements + [PostgresStatement("RELEASE SAVEPOINT sluice")])
    } catch {
      await rollBackToSavepoint()
      var named = error
      named.statementIndex = error.statementIndex.map { $0 - 1 }
      throw named
    }
    return Array(results.dropFirst().dropLast())
  }

  private func begin(_ isolation: Isolation, _ readOnly: Bool, _ deadline: Deadline?) async throws(PostgresError) {
    if isInTransaction {
      throw PostgresError(
        .protocolViolation, "a transaction is open already; use savepoint inside", endpoint: configuration.endpoint)
    }
    try await execute("BEGIN ISOLATION LEVEL \(isolation.rawValue)\(readOnly ? " READ ONLY" : "")", deadline: deadline)
    setTransactionDeadline(deadline)
  }

  private func commit() async throws(PostgresError) {
    let result = try await query("COMMIT")
    setTransactionDeadline(nil)
    // After a failed statement whose error was swallowed, PostgreSQL answers COMMIT with ROLLBACK and no error.
    if result.commandTag != "COMMIT" {
      throw PostgresError(
        .server, "the transaction was rolled back because a statement in it had failed",
        sqlState: .inFailedSQLTransaction, endpoint: configuration.endpoint)
    }
  }

  /// Works although the task is cancelled, and leaves the connection either outside any transaction or closed.
  private func rollBack() {
    setTransactionDeadline(nil)
    guard isInTransaction else { return }
    do throws(PostgresError) {
      try runUncancelled(until: .after(Self.rollbackTimeout)) { session throws(PostgresError) in
        _ = try session.execute("ROLLBACK")
      }
    } catch {
      close()
    }
  }

  /// A savepoint that cannot be restored leaves the transaction failed, which its COMMIT reports.
  private func rollBackToSavepoint() {
    guard isInTransaction else { return }
    do throws(PostgresError) {
      try runUncancelled(until: .after(Self.rollbackTimeout)) { session throws(PostgresError) in
        _ = try session.execute("ROLLBACK TO SAVEPOINT sluice; RELEASE SAVEPOINT sluice")
      }
    } catch {
      close()
    }
  }
}
