import Databricks
import Foundation
import LakebaseStandIn
import Platform
import Postgres
import Testing

@Suite("Gateway: sessions, stops and starts", .timeLimit(.minutes(1)))
struct GatewaySessionTests {
  private typealias Fixture = GatewayFixture

  @Test func stoppedInstanceRefusesAsTheRealGatewayDoes() async throws {
    try await Fixture.with { fixture in
      let token = try await fixture.token()
      fixture.standIn.stopInstance(Fixture.name)
      let error = try #require(
        await refusal { _ = try await PostgresConnection.connect(fixture.configuration(password: token)) })
      #expect(error.sqlState == .invalidAuthorizationSpecification)
      #expect(error.message.contains("External authorization failed."))
      #expect(error.detail?.contains("paused instances") == true)
      let disposition = LoginFailure.classify(
        sqlState: error.sqlState?.rawValue, message: error.message, detail: error.detail, transport: false)
      #expect(disposition == .askInstance)
      let state = try await fixture.workspace().state(of: fixture.reference)
      #expect(state == .stopped(detail: "STOPPED"))
    }
  }

  @Test func blockedAddressIsToldInTheDetail() async throws {
    try await Fixture.with { fixture in
      let token = try await fixture.token()
      fixture.standIn.block(
        Fixture.name, reason: "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 123")
      let error = try #require(
        await refusal { _ = try await PostgresConnection.connect(fixture.configuration(password: token)) })
      let disposition = LoginFailure.classify(
        sqlState: error.sqlState?.rawValue, message: error.message, detail: error.detail, transport: false)
      guard case .forbidden = disposition else {
        Issue.record("classified as \(disposition)")
        return
      }
    }
  }

  @Test func stopEndsAnIdleSession() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      fixture.standIn.stopInstance(Fixture.name)
      let error = await refusal { _ = try await connection.query("SELECT 1") }
      #expect(error?.sqlState == .adminShutdown, "\(String(describing: error))")
      await connection.close()
    }
  }

  @Test func stopEndsARunningStatementInTheServerToo() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      let pid = try await connection.query("SELECT pg_backend_pid() AS pid").rows[0].int("pid")
      let running = Task { await refusal { _ = try await connection.query("SELECT pg_sleep(50)") } }
      try await fixture.administer { server in
        let active = "SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"
        while try await server.query(active, [.int8(pid)]).rows.isEmpty {}
        fixture.standIn.stopInstance(Fixture.name)
        let error = await running.value
        #expect(error?.sqlState == .adminShutdown, "\(String(describing: error))")
        while try await !server.query("SELECT FROM pg_stat_activity WHERE pid = $1", [.int8(pid)]).rows.isEmpty {}
      }
      await connection.close()
      while fixture.standIn.sessionCount(Fixture.name) > 0 { await Task.yield() }
    }
  }

  @Test func startedInstanceLetsInAgain() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.stopInstance(Fixture.name)
      fixture.standIn.startInstance(Fixture.name)
      let connection = try await fixture.connect()
      _ = try await connection.query("SELECT 1")
      await connection.close()
    }
  }

  @Test func startingTakesItsTime() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.setStartDelay(.seconds(60), of: Fixture.name)
      fixture.standIn.stopInstance(Fixture.name)
      fixture.standIn.startInstance(Fixture.name)
      let state = try await fixture.workspace().state(of: fixture.reference)
      #expect(state == .starting(detail: "STARTING"))
      let token = try await fixture.token()
      let error = await refusal { _ = try await PostgresConnection.connect(fixture.configuration(password: token)) }
      #expect(error?.sqlState == .invalidAuthorizationSpecification)
      fixture.standIn.setClock(offsetSeconds: 61)
      let later = try await fixture.workspace().state(of: fixture.reference)
      #expect(later == .running)
    }
  }

  @Test func sleepingEndpointIsWokenByAConnection() async throws {
    try await Fixture.with(kind: .autoscaling) { fixture in
      fixture.standIn.setWakeDelay(.milliseconds(50), of: Fixture.endpoint)
      fixture.standIn.stopInstance(Fixture.endpoint)
      let before = try await fixture.workspace().state(of: fixture.reference)
      #expect(before == .idle)
      let connection = try await fixture.connect()
      let after = try await fixture.workspace().state(of: fixture.reference)
      #expect(after == .running)
      await connection.close()
    }
  }

  @Test func disabledEndpointIsNotWoken() async throws {
    try await Fixture.with(kind: .autoscaling) { fixture in
      fixture.standIn.setDisabled(true, endpoint: Fixture.endpoint)
      let error = try #require(await refusal { _ = try await fixture.connect() })
      let disposition = LoginFailure.classify(
        sqlState: error.sqlState?.rawValue, message: error.message, detail: error.detail, transport: false)
      #expect(disposition == .whenRunning)
    }
  }

  @Test func cancelRequestReachesTheServer() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      let error = await refusal {
        _ = try await connection.query("SELECT pg_sleep(50)", deadline: .after(.milliseconds(200)))
      }
      #expect(error?.code == .timedOut)
      // Usable again only if the server said 57014 in time.
      let row = try await connection.query("SELECT 7 AS seven").rows[0]
      #expect(try row.int("seven") == 7)
      await connection.close()
    }
  }

  @Test func largeAnswersPassUnharmed() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      let rows = try await connection.query(
        "SELECT repeat(chr(97 + (n % 26)::int), 1000) AS text FROM generate_series(1, 20000) AS n"
      ).rows
      #expect(rows.count == 20_000)
      #expect(try rows[19_999].text("text") == String(repeating: "g", count: 1000))
      await connection.close()
    }
  }

  @Test func closedSessionMakesRoom() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.setConnectionLimit(1, of: Fixture.name)
      let first = try await fixture.connect()
      await first.close()
      while fixture.standIn.sessionCount(Fixture.name) > 0 { await Task.yield() }
      let second = try await fixture.connect()
      await second.close()
    }
  }
}
