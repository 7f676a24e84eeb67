import Foundation
import Platform
import Synchronization
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Copying {
    private static let copyIn = "COPY item (id, name, body) FROM STDIN (FORMAT binary)"

    @Test func manyRowsGoInAndComeOut() async throws {
      let connection = try await connectionWithTable()
      let rows: [[PostgresValue]] = (0..<10_000).map { number in
        [.int(number), number.isMultiple(of: 3) ? nil : .text("tab\t line\n \\ 🧀 \(number)"), .bytea([0, 255])]
      }
      #expect(try await connection.copyIn(Self.copyIn, rows: rows) == 10_000)
      let received = Mutex<[PostgresValue]>([])
      try await connection.copyOut("SELECT id, name FROM item ORDER BY id") { row in
        let name = try PostgresValue.optional(row.optionalText("name"))
        received.withLock { $0.append(name) }
      }
      #expect(received.withLock { $0 } == rows.map { $0[1] })
      #expect(await connection.isUsable)
    }

    @Test func rowsThatFailLeaveNothing() async throws {
      let connection = try await connectionWithTable()
      let rows = AsyncThrowingStream<[PostgresValue], any Error> { stream in
        for number in 0..<5000 { stream.yield([.int(number), nil, nil]) }
        stream.finish(throwing: CancellationError())
      }
      await #expect(throws: CancellationError.self) { try await connection.copyIn(Self.copyIn, rows: rows) }
      #expect(try await count(connection) == 0)
    }

    @Test func rowOfTheWrongTypeIsTheServersError() async throws {
      let connection = try await connectionWithTable()
      let error = await failure { _ = try await connection.copyIn(Self.copyIn, rows: [["text", nil, nil]]) }
      #expect(error?.code == .server)
      #expect(try await count(connection) == 0)
    }

    @Test func cancelledTaskTakesTheCopyBack() async throws {
      let connection = try await connectionWithTable()
      let (rows, sender) = AsyncThrowingStream<[PostgresValue], any Error>.makeStream()
      let task = Task { try await connection.copyIn(Self.copyIn, rows: rows) }
      for number in 0..<5000 { sender.yield([.int(number), nil, nil]) }
      task.cancel()
      #expect(await failure { _ = try await task.value }?.code == .cancelled)
      #expect(try await count(connection) == 0)
    }

    @Test func readerThatThrowsLeavesTheConnectionUsable() async throws {
      let connection = try await PrivateServer.running.connect()
      await #expect(throws: CancellationError.self) {
        try await connection.copyOut("SELECT generate_series(1, 10000000) AS id") { row in
          if try row.int("id") == 5 { throw CancellationError() }
        }
      }
      #expect(await connection.isUsable)
    }

    @Test func otherCallsAreRefusedWhileACopyIsUnderWay() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.copyOut("SELECT 1 AS id") { _ in }
      try await connection.copyOut("SELECT generate_series(1, 100000) AS id") { row in
        guard try row.int("id") == 1 else { return }
        #expect(await failure { _ = try await connection.query("SELECT 1") }?.code == .protocolViolation)
      }
      #expect(try await connection.query("SELECT 1 AS one").rows.first?.int("one") == 1)
    }

    @Test func brokenQueryOfACopyIsTheServersError() async throws {
      let connection = try await PrivateServer.running.connect()
      let error = await failure { try await connection.copyOut("SELECT * FROM nowhere") { _ in } }
      #expect(error?.sqlState == .undefinedTable)
      #expect(await connection.isUsable)
    }

    @Test func failedCopyFailsAloneInASavepoint() async throws {
      let connection = try await connectionWithTable()
      try await connection.transaction { connection in
        let broken = await failure {
          try await connection.savepoint {
            try await $0.copyOut("SELECT 1 / (id - 5000) FROM generate_series(1, 9000) AS id") { _ in }
          }
        }
        #expect(broken?.sqlState?.sqlClass == .dataException)
        let refused = await failure {
          try await connection.savepoint { _ = try await $0.copyIn(Self.copyIn, rows: [["text", nil, nil]]) }
        }
        #expect(refused?.code == .server)
        _ = try await connection.copyIn(Self.copyIn, rows: [[1, nil, nil]])
      }
      #expect(try await count(connection) == 1)
    }

    @Test func copyOutStopsAtItsDeadline() async throws {
      let connection = try await PrivateServer.running.connect()
      let error = await failure {
        try await connection.copyOut("SELECT pg_sleep(20)", deadline: .after(.milliseconds(200))) { _ in }
      }
      #expect(error?.code == .timedOut)
      #expect(await connection.isUsable)
    }

    private func connectionWithTable() async throws -> PostgresConnection {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("CREATE TEMP TABLE item (id bigint, name text, body bytea)")
      return connection
    }

    private func count(_ connection: PostgresConnection) async throws -> Int64 {
      try await #require(connection.query("SELECT count(*) AS count FROM item").rows.first).int("count")
    }
  }

  @Suite struct Listening {
    @Test func notificationOfAnotherSessionArrives() async throws {
      let server = try PrivateServer.running
      let listener = try await server.connect()
      let sender = try await server.connect()
      let channel = try PostgresIdentifier("Jobs \"new\"")
      try await listener.listen(channel)
      _ = try await sender.query("SELECT pg_notify($1, $2)", [.text(channel.name), "42"])
      let received = try await listener.notifications(deadline: .after(.seconds(10)))
      #expect(received.map(\.payload) == ["42"])
      #expect(received.map(\.channel) == [channel.name])
    }

    @Test func deadlineEndsTheWaitWithNothing() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.listen(PostgresIdentifier("silent"))
      #expect(try await connection.notifications(deadline: .after(.milliseconds(50))).isEmpty)
      #expect(await connection.isUsable)
    }

    @Test func cancelledTaskEndsTheWait() async throws {
      let connection = try await PrivateServer.running.connect()
      let task = Task { try await connection.notifications(deadline: .after(.seconds(60))) }
      task.cancel()
      #expect(await failure { _ = try await task.value }?.code == .cancelled)
      #expect(await connection.isUsable)
    }
  }
}
