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

    @Test func rowsAreSentFromOneDatabaseToAnother() async throws {
      let (source, destination) = (try await PrivateServer.running.connect(), try await connectionWithTable())
      let told = Mutex<[Int]>([])
      let query = """
        SELECT i::bigint, CASE WHEN i % 3 > 0 THEN E'tab\t line\n \\\\ 🧀 ' || i END, decode('00ff', 'hex')
        FROM generate_series(1, 50000) AS i
        """
      let count = try await source.pump(query, to: destination, Self.copyIn) { rows in
        told.withLock { $0.append(rows) }
      }
      #expect(count == 50_000)
      let told50000 = told.withLock { $0 }
      #expect(
        told50000.count > 10 && told50000 == told50000.sorted() && told50000.last == 50_000)
      let row = try #require(
        try await destination.query(
          "SELECT count(*) AS rows, count(name) AS names, max(name) FILTER (WHERE id = 4) AS name FROM item"
        ).rows.first)
      #expect(try row.int("rows") == 50_000 && row.int("names") == 33_334)
      #expect(try row.text("name") == "tab\t line\n \\ 🧀 4")
      #expect(await source.isUsable)
      #expect(await destination.isUsable)
    }

    @Test func whatFailsOnEitherSideTakesBothCopiesBack() async throws {
      let (source, destination) = (try await PrivateServer.running.connect(), try await connectionWithTable())
      let many = "SELECT i::bigint, NULL::text, NULL::bytea FROM generate_series(1, 10000000) AS i"
      let wrong = await failure {
        try await source.pump(
          "SELECT 1::bigint, 2::bigint, NULL::bytea", to: destination, "COPY item (id) FROM STDIN BINARY")
      }
      #expect(wrong?.code == .server)
      let broken = await failure {
        try await source.pump(
          "SELECT i::bigint, (1 / (i - 9000))::text, NULL::bytea FROM generate_series(1, 10000) AS i", to: destination,
          Self.copyIn)
      }
      #expect(broken?.sqlState?.sqlClass == .dataException)
      await #expect(throws: CancellationError.self) {
        try await source.pump(many, to: destination, Self.copyIn) { if $0 > 100_000 { throw CancellationError() } }
      }
      let late = await failure {
        try await source.pump(many, to: destination, Self.copyIn, deadline: .after(.milliseconds(100)))
      }
      #expect(late?.code == .timedOut)
      #expect(await source.isUsable)
      #expect(await destination.isUsable)
      #expect(try await count(destination) == 0)
    }

    @Test func aCancelledTaskEndsBothCopies() async throws {
      let (source, destination) = (try await PrivateServer.running.connect(), try await connectionWithTable())
      let (began, signal) = AsyncStream<Void>.makeStream()
      let task = Task {
        try await source.pump(
          "SELECT i::bigint, NULL::text, NULL::bytea FROM generate_series(1, 100000000) AS i", to: destination,
          Self.copyIn
        ) { _ in signal.yield() }
      }
      for await _ in began { break }
      task.cancel()
      #expect(await failure { _ = try await task.value }?.code == .cancelled)
      #expect(await source.isUsable)
      #expect(await destination.isUsable)
      #expect(try await count(destination) == 0)
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
