import Databricks
import Foundation
import HTTP
import LakebaseStandIn
import Platform
import Postgres
import Testing

@Suite("Gateway: who gets in", .timeLimit(.minutes(1)))
struct GatewayLoginTests {
  private typealias Fixture = GatewayFixture

  @Test func servicePrincipalLogsInByToken() async throws {
    try await Fixture.with { fixture in
      let connection = try await fixture.connect()
      let row = try await connection.query("SELECT current_user AS name").rows[0]
      #expect(try row.text("name") == Fixture.worker.name)
      await connection.close()
    }
  }

  @Test func userWithABoundRoleLogsInByToken() async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let connection = try await fixture.connect(user)
      let row = try await connection.query("SELECT current_user AS name").rows[0]
      #expect(try row.text("name") == user.name)
      await connection.close()
    }
  }

  @Test func garbageIsRefused() async throws {
    try await Fixture.with { fixture in
      let error = await refusal {
        _ = try await PostgresConnection.connect(fixture.configuration(password: Secret("nonsense")))
      }
      #expect(error?.sqlState == .invalidAuthorizationSpecification)
      #expect(error?.message.contains("Invalid authorization for databricks identity login") == true)
    }
  }

  @Test func tokenOfSomebodyElseIsRefused() async throws {
    try await Fixture.with { fixture in
      let user = try await fixture.addUser()
      let token = try await fixture.token()
      let error = await refusal {
        _ = try await PostgresConnection.connect(fixture.configuration(user: user.name, password: token))
      }
      #expect(error?.sqlState == .invalidAuthorizationSpecification)
    }
  }

  @Test func identityWithoutARoleIsRefused() async throws {
    try await Fixture.with { fixture in
      let stranger = StandIn.Identity(
        name: "stranger@example.com", secret: Secret("dose-stranger"), kind: .user)
      fixture.standIn.add(stranger)
      let error = await refusal { _ = try await fixture.connect(stranger) }
      #expect(error?.sqlState == .invalidPassword)
    }
  }

  @Test func roleWithoutABindingIsRefused() async throws {
    try await Fixture.with { fixture in
      let unbound = StandIn.Identity(
        name: "unbound-\(UUID().uuidString)", secret: Secret("dose-unbound"), kind: .user)
      fixture.standIn.add(unbound)
      try await fixture.administer { connection in
        _ = try await connection.execute("CREATE ROLE \(try PostgresIdentifier(unbound.name).quoted) LOGIN")
      }
      let error = await refusal { _ = try await fixture.connect(unbound) }
      #expect(error?.sqlState == .invalidPassword)
    }
  }

  @Test func workspaceTokenIsRefused() async throws {
    try await Fixture.with { fixture in
      let request = HTTPRequest(
        method: "POST", url: fixture.standIn.workspaceURL + "/oidc/v1/token",
        headers: [("Content-Type", "application/x-www-form-urlencoded")],
        body: Array(
          "grant_type=client_credentials&scope=all-apis&client_id=\(Fixture.worker.name)&client_secret=dose-worker".utf8
        ))
      let answer = try await fixture.http.send(request)
      let object = try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any]
      let token = try #require(object?["access_token"] as? String)
      let error = await refusal {
        _ = try await PostgresConnection.connect(fixture.configuration(password: Secret(token)))
      }
      #expect(error?.sqlState == .invalidAuthorizationSpecification)
    }
  }

  @Test func expiryIsLookedAtOnLoginOnly() async throws {
    try await Fixture.with { fixture in
      let token = try await fixture.token()
      let open = try await PostgresConnection.connect(fixture.configuration(password: token))
      fixture.standIn.setClock(offsetSeconds: 3700)
      let error = await refusal { _ = try await PostgresConnection.connect(fixture.configuration(password: token)) }
      #expect(error?.sqlState == .invalidAuthorizationSpecification)
      _ = try await open.query("SELECT 1")
      await open.close()
    }
  }

  @Test func plainConnectionIsRefused() async throws {
    try await Fixture.with { fixture in
      var configuration = fixture.configuration(password: try await fixture.token())
      configuration.tls = .disable
      let error = await refusal { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.sqlState == SQLState(rawValue: "08P01"))
    }
  }

  @Test func connectionWithoutAServerNameIsRefused() async throws {
    try await Fixture.with { fixture in
      var configuration = fixture.configuration(password: try await fixture.token())
      configuration.host = "127.0.0.1"
      configuration.tls = .require
      let error = await refusal { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.sqlState == SQLState(rawValue: "08006"))
      #expect(error?.message.contains("SNI") == true)
    }
  }

  @Test func missingDatabaseIsToldByTheServerItself() async throws {
    try await Fixture.with { fixture in
      let configuration = fixture.configuration(password: try await fixture.token(), database: "nowhere")
      let error = await refusal { _ = try await PostgresConnection.connect(configuration) }
      #expect(error?.sqlState == .invalidCatalogName)
    }
  }

  @Test func limitOfConnectionsIsKept() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.setConnectionLimit(1, of: Fixture.name)
      let first = try await fixture.connect()
      let error = await refusal { _ = try await fixture.connect() }
      #expect(error?.sqlState == .tooManyConnections)
      await first.close()
    }
  }

  @Test func silentClientIsCutOff() async throws {
    try await Fixture.with(loginTimeout: .milliseconds(100)) { fixture in
      let answer = try await RawClient.receiveAll(port: fixture.standIn.gatewayPort, sending: [])
      #expect(String(decoding: answer, as: UTF8.self).contains("C08006"))
    }
  }

  @Test func dataAfterTheSSLRequestIsRefused() async throws {
    try await Fixture.with { fixture in
      let request: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 47, 1]
      let answer = try await RawClient.receiveAll(port: fixture.standIn.gatewayPort, sending: request)
      #expect(String(decoding: answer, as: UTF8.self).contains("Received unencrypted data after SSL request."))
    }
  }

  @Test func gssRequestIsRefused() async throws {
    try await Fixture.with { fixture in
      let request: [UInt8] = [0, 0, 0, 8, 4, 210, 22, 48]
      let answer = try await RawClient.receiveAll(port: fixture.standIn.gatewayPort, sending: request)
      #expect(String(decoding: answer, as: UTF8.self).contains("C08P01"))
    }
  }
}
