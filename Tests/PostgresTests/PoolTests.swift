import Foundation
import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Pooling {
    @Test func connectionsAreUsedAgain() async throws {
      let pool = PostgresPool(try PrivateServer.running.configuration(), limits: .init(size: 2))
      let first = try await pool.withConnection { try await backend(of: $0) }
      let second = try await pool.withConnection { try await backend(of: $0) }
      #expect(first == second)
      await pool.shutDown()
    }

    /// Else each statement would go from one thread to another and back.
    @Test func whatIsDoneWithAConnectionRunsOnItsThread() async throws {
      let pool = PostgresPool(try PrivateServer.running.configuration(), limits: .init(size: 1))
      let threads = try await pool.withConnection { connection in
        let first = currentThread()
        _ = try await connection.transaction { try await $0.query("SELECT 1") }
        return [first, await connection.ownThread(), currentThread()]
      }
      #expect(Set(threads).count == 1)
      await pool.shutDown()
    }

    @Test func callerThatWaitsTooLongIsTurnedAway() async throws {
      let pool = PostgresPool(try PrivateServer.running.configuration(), limits: .init(size: 1))
      try await pool.withConnection { _ in
        _ = await #expect(throws: PoolError.self) {
          try await pool.withConnection(deadline: .after(.milliseconds(50))) { _ in }
        }
      }
      await pool.shutDown()
    }

    @Test func connectionLeftInATransactionIsNotLentAgain() async throws {
      let pool = PostgresPool(try PrivateServer.running.configuration(), limits: .init(size: 1))
      let first = try await pool.withConnection { connection in
        try await connection.execute("BEGIN")
        return try await backend(of: connection)
      }
      #expect(try await pool.withConnection { try await backend(of: $0) } != first)
      await pool.shutDown()
    }

    @Test func transactionOfThePoolRollsBack() async throws {
      let pool = PostgresPool(try PrivateServer.running.configuration(), limits: .init(size: 1))
      try await pool.withConnection { _ = try await $0.execute("CREATE TEMP TABLE item (id int)") }
      await #expect(throws: CancellationError.self) {
        try await pool.withTransaction { connection in
          try await connection.execute("INSERT INTO item VALUES (1)")
          throw CancellationError()
        }
      }
      let count = try await pool.withConnection { try await $0.query("SELECT FROM item").affected }
      #expect(count == 0)
      await pool.shutDown()
    }
  }
}

private func currentThread() -> pthread_t { pthread_self() }

extension PostgresConnection {
  fileprivate func ownThread() -> pthread_t { currentThread() }
}
