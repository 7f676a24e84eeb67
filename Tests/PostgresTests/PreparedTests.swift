import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct PreparedStatements {
    private func count(_ connection: PostgresConnection) async throws -> Int64 {
      try await connection.query("SELECT count(*) AS n FROM pg_prepared_statements").rows[0].int("n")
    }

    @Test func aStatementIsParsedOnceForEachSetOfTypes() async throws {
      let connection = try await PrivateServer.running.connect()
      for number in 1...3 {
        #expect(
          try await connection.queryPrepared("SELECT $1 + 1 AS n", [.int8(Int64(number))]).rows[0].int("n") == Int64(
            number) + 1)
      }
      #expect(try await count(connection) == 1)
      _ = try await connection.queryPrepared("SELECT $1 + 1 AS n", [.int4(1)])
      #expect(try await count(connection) == 2)
    }

    @Test func itOutlivesATransactionThatIsRolledBack() async throws {
      struct Undone: Error {}
      let connection = try await PrivateServer.running.connect()
      await #expect(throws: Undone.self) {
        try await connection.transaction { connection in
          _ = try await connection.queryPrepared("SELECT 1 AS n")
          throw Undone()
        }
      }
      #expect(try await connection.queryPrepared("SELECT 1 AS n").rows[0].int("n") == 1)
      #expect(try await count(connection) == 1)
    }

    /// PostgreSQL refuses a plan whose columns have changed (0A000): the next call parses it again.
    @Test func itIsParsedAgainAfterItFailed() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("CREATE TEMPORARY TABLE thing AS SELECT 1 AS n")
      let read = "SELECT * FROM thing"
      _ = try await connection.queryPrepared(read)
      try await connection.execute("ALTER TABLE thing ALTER n TYPE bigint, ADD more text")
      let error = await #expect(throws: PostgresError.self) { _ = try await connection.queryPrepared(read) }
      #expect(error?.sqlState?.rawValue == "0A000" && error?.statement == "SELECT")
      #expect(try await connection.queryPrepared(read).rows[0].int("n") == 1)
    }
  }
}
