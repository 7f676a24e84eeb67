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

    @Test func aStatementIsPlannedOnceAndNoOther() async throws {
      let connection = try await PrivateServer.running.connect()
      let sql = "SELECT $1 AS n, current_setting('plan_cache_mode') AS mode"
      for number in 1...3 {
        let row = try await connection.queryPrepared(sql, [.int8(Int64(number))], isPlannedOnce: true).rows[0]
        #expect(try row.int("n") == Int64(number))
        #expect(try row.text("mode") == "force_generic_plan")
      }
      let plans = try await connection.query(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1", [.text(sql)]
      ).rows[0]
      #expect(try plans.int("generic_plans") == 3 && plans.int("custom_plans") == 0)
      #expect(try await mode(connection) == "auto")
    }

    @Test func aPlanThatFailsLeavesTheSettingAsItWas() async throws {
      let connection = try await PrivateServer.running.connect()
      @Sendable func divide() async throws {
        _ = try await connection.queryPrepared("SELECT 1 / $1", [.int4(0)], isPlannedOnce: true)
      }
      await #expect(throws: PostgresError.self) { try await divide() }
      #expect(try await mode(connection) == "auto")
      await #expect(throws: PostgresError.self) { try await connection.transaction { _ in try await divide() } }
      #expect(try await mode(connection) == "auto")
    }

    private func mode(_ connection: PostgresConnection) async throws -> String {
      try await connection.query("SHOW plan_cache_mode").rows[0].text("plan_cache_mode")
    }
  }
}
