import Foundation
import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Cancellation {
    @Test func deadlineStopsTheStatementAndTheConnectionLives() async throws {
      let connection = try await PrivateServer.running.connect()
      let error = await failure {
        _ = try await connection.query("SELECT pg_sleep(30)", deadline: .after(.milliseconds(100)))
      }
      #expect(error?.code == .timedOut)
      #expect(error?.sqlState == .queryCanceled)
      #expect(try await connection.query("SELECT 1 AS one").rows.first?.int("one") == 1)
    }

    @Test func passedDeadlineStartsNothing() async throws {
      let connection = try await PrivateServer.running.connect()
      let error = await failure { try await connection.execute("CREATE TEMP TABLE a ()", deadline: .after(.zero)) }
      #expect(error?.code == .timedOut)
      #expect(await connection.isUsable)
    }

    @Test func cancelledTaskStopsTheStatementOnTheServer() async throws {
      let server = try PrivateServer.running
      let connection = try await server.connect()
      let observer = try await server.connect()
      let processID = try await backend(of: connection)
      let task = Task { try await connection.query("SELECT pg_sleep(30)") }
      try await becomesActive(processID, observer)
      task.cancel()
      let error = await failure { _ = try await task.value }
      #expect(error?.code == .cancelled)
      #expect(try await state(of: processID, observer) == "idle")
      #expect(try await connection.query("SELECT 1 AS one").rows.first?.int("one") == 1)
    }

    @Test func callOnACancelledTaskDoesNotBegin() async throws {
      let connection = try await PrivateServer.running.connect()
      let task = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        try await connection.execute("CREATE TEMP TABLE a ()")
      }
      #expect(await failure { try await task.value }?.code == .cancelled)
      #expect(try await connection.query("SELECT to_regclass('a') AS found").rows.first?.optionalText("found") == nil)
    }

    @Test func silentBackendCostsTheConnectionAfterTheGrace() async throws {
      let server = try PrivateServer.running
      var configuration = server.configuration()
      configuration.cancelGrace = .milliseconds(200)
      let connection = try await PostgresConnection.connect(configuration)
      let processID = try await backend(of: connection)
      kill(processID, SIGSTOP)
      defer { kill(processID, SIGCONT) }
      let started = ContinuousClock.now
      let error = await failure { _ = try await connection.query("SELECT 1", deadline: .after(.milliseconds(100))) }
      #expect(error?.code == .timedOut)
      #expect(ContinuousClock.now - started < .seconds(5))
      #expect(await !connection.isUsable)
      #expect(await failure { _ = try await connection.query("SELECT 1") }?.code == .closed)
    }

    @Test func endedBackendIsAConnectionLost() async throws {
      let server = try PrivateServer.running
      let connection = try await server.connect()
      let observer = try await server.connect()
      let processID = try await backend(of: connection)
      let task = Task { try await connection.query("SELECT pg_sleep(30)") }
      try await becomesActive(processID, observer)
      _ = try await observer.query("SELECT pg_terminate_backend($1)", [.int4(processID)])
      let error = await failure { _ = try await task.value }
      #expect(error?.code == .connectionLost)
      #expect(error?.sqlState == .adminShutdown)
      #expect(error?.isTransient == true)
    }

    @Test func serverThatClosedAnIdleConnectionIsNoticed() async throws {
      let server = try PrivateServer.running
      let connection = try await server.connect()
      let observer = try await server.connect()
      let processID = try await backend(of: connection)
      #expect(await connection.isUsable)
      _ = try await observer.query("SELECT pg_terminate_backend($1, 10000)", [.int4(processID)])
      #expect(await !connection.isUsable)
    }
  }
}

func backend(of connection: PostgresConnection) async throws -> Int32 {
  Int32(try await #require(connection.query("SELECT pg_backend_pid() AS id").rows.first).int("id"))
}

func state(of processID: Int32, _ observer: PostgresConnection) async throws -> String? {
  try await observer.query("SELECT state FROM pg_stat_activity WHERE pid = $1", [.int4(processID)])
    .rows.first?.optionalText("state")
}

/// Looks again and again until the backend runs a statement.
func becomesActive(_ processID: Int32, _ observer: PostgresConnection) async throws {
  let limit = Deadline.after(.seconds(20))
  while try await state(of: processID, observer) != "active" {
    try #require(!limit.hasPassed, "the backend did not become active")
  }
}
