import Foundation
import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Transactions {
    private struct Refusal: Error {}

    @Test func returningCommits() async throws {
      let connection = try await connectionWithTable()
      try await connection.transaction { _ = try await $0.query("INSERT INTO item VALUES (1)") }
      #expect(try await count(connection) == 1)
    }

    @Test func throwingRollsBack() async throws {
      let connection = try await connectionWithTable()
      await #expect(throws: Refusal.self) {
        try await connection.transaction { connection in
          _ = try await connection.query("INSERT INTO item VALUES (1)")
          throw Refusal()
        }
      }
      #expect(try await count(connection) == 0)
      #expect(await connection.isUsable)
    }

    @Test func cancellationRollsBack() async throws {
      let connection = try await connectionWithTable()
      let task = Task {
        try await connection.transaction { connection in
          _ = try await connection.query("INSERT INTO item VALUES (1)")
          withUnsafeCurrentTask { $0?.cancel() }
        }
      }
      #expect(await failure { try await task.value }?.code == .cancelled)
      #expect(await connection.isUsable)
      #expect(try await count(connection) == 0)
    }

    @Test func swallowedErrorDoesNotPassForACommit() async throws {
      let connection = try await connectionWithTable()
      let error = await failure {
        try await connection.transaction { connection in
          _ = try await connection.query("INSERT INTO item VALUES (1)")
          _ = await failure { _ = try await connection.query("SELECT * FROM nowhere") }
        }
      }
      #expect(error?.sqlState == .inFailedSQLTransaction)
      #expect(try await count(connection) == 0)
    }

    @Test func deadlineHoldsForTheCallsInside() async throws {
      let connection = try await connectionWithTable()
      let error = await failure {
        try await connection.transaction(deadline: .after(.milliseconds(300))) { connection in
          _ = try await connection.query("SELECT pg_sleep(20)")
        }
      }
      #expect(error?.code == .timedOut)
      #expect(try await count(connection) == 0)
    }

    @Test func everyKindOfFirstStatementIsInTheTransaction() async throws {
      let connection = try await connectionWithTable()
      let level = "SELECT current_setting('transaction_isolation') AS level"
      let firsts: [@Sendable (PostgresConnection) async throws -> Void] = [
        { _ = try await $0.query(level) },
        { _ = try await $0.queryPrepared(level) },
        { _ = try await $0.queryPrepared(level) },
        { _ = try await $0.pipeline([.init(level)]) },
        { _ = try await $0.execute("INSERT INTO item VALUES (1)") },
        { _ = try await $0.copyIn("COPY item FROM STDIN (FORMAT binary)", rows: [[.int(2)]]) },
        { _ in },
      ]
      for first in firsts {
        await #expect(throws: Refusal.self) {
          try await connection.transaction(isolation: .serializable) { connection in
            try await first(connection)
            #expect(await connection.isInTransaction)
            #expect(await !connection.isUsable)
            #expect(!connection.wasJustUsable)
            let row = try await connection.query(level).rows[0]
            #expect(try row.text("level") == "serializable")
            throw Refusal()
          }
        }
        #expect(connection.wasJustUsable)
      }
      #expect(try await count(connection) == 0)
    }

    @Test func aFirstStatementThatFailsFailsTheTransactionAlone() async throws {
      let connection = try await connectionWithTable()
      let error = await failure {
        try await connection.transaction { _ = try await $0.query("SELECT * FROM nowhere") }
      }
      #expect(error?.sqlState == .undefinedTable)
      try await connection.transaction { _ = try await $0.query("INSERT INTO item VALUES (1)") }
      #expect(try await count(connection) == 1)
    }

    @Test func transactionInsideATransactionIsRefused() async throws {
      let connection = try await connectionWithTable()
      let error = await failure {
        try await connection.transaction { connection in try await connection.transaction { _ in } }
      }
      #expect(error?.code == .protocolViolation)
    }

    @Test func savepointFailsAlone() async throws {
      let connection = try await connectionWithTable()
      try await connection.transaction { connection in
        _ = try await connection.query("INSERT INTO item VALUES (1)")
        for _ in 0..<2 {
          let error = await failure {
            try await connection.savepoint { connection in
              _ = try await connection.query("INSERT INTO item VALUES (2)")
              _ = try await connection.query("SELECT * FROM nowhere")
            }
          }
          #expect(error?.sqlState == .undefinedTable)
        }
        try await connection.savepoint { _ = try await $0.query("INSERT INTO item VALUES (3)") }
      }
      #expect(try await count(connection) == 2)
    }

    @Test func pipelineReturnsEveryResultAcrossWindows() async throws {
      let connection = try await connectionWithTable()
      let statements = (0..<600).map { PostgresStatement("INSERT INTO item VALUES ($1) RETURNING id", [.int($0)]) }
      let results = try await connection.pipeline(statements)
      #expect(try results.map { try $0.rows[0].int("id") } == (0..<600).map { Int64($0) })
    }

    @Test func failedPipelineLeavesNothingAndNamesTheStatement() async throws {
      let connection = try await connectionWithTable()
      var statements = (0..<600).map { PostgresStatement("INSERT INTO item VALUES ($1)", [.int($0)]) }
      statements[400] = PostgresStatement("SELECT * FROM nowhere")
      let error = await failure { _ = try await connection.pipeline(statements) }
      #expect(error?.sqlState == .undefinedTable)
      #expect(error?.statementIndex == 400)
      #expect(try await count(connection) == 0)
    }

    @Test func pipelineStopsAtItsDeadline() async throws {
      let connection = try await connectionWithTable()
      let statements = [
        PostgresStatement("INSERT INTO item VALUES (1)"), PostgresStatement("SELECT pg_sleep(20)"),
        PostgresStatement("INSERT INTO item VALUES (2)"),
      ]
      let error = await failure {
        _ = try await connection.pipeline(statements, deadline: .after(.milliseconds(200)))
      }
      #expect(error?.code == .timedOut)
      #expect(error?.statementIndex == 1)
      #expect(try await count(connection) == 0)
    }

    private func connectionWithTable() async throws -> PostgresConnection {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("CREATE TEMP TABLE item (id bigint)")
      return connection
    }

    private func count(_ connection: PostgresConnection) async throws -> Int64 {
      try await #require(connection.query("SELECT count(*) AS count FROM item").rows.first).int("count")
    }
  }
}
