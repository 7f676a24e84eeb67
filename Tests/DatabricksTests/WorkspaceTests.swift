import Databricks
import HTTP
import LakebaseStandIn
import Platform
import Testing

@Suite("Workspace", .timeLimit(.minutes(1)))
struct WorkspaceTests {
  private typealias Fixture = WorkspaceFixture

  private func failure(_ body: () async throws(DatabricksError) -> Void) async -> DatabricksError? {
    do throws(DatabricksError) {
      try await body()
      return nil
    } catch { return error }
  }

  @Test func credentialTakesTwoSteps() async throws {
    try await Fixture.with { fixture in
      let credential = try await fixture.workspace().databaseCredential(for: Fixture.provisioned)
      #expect(credential.token.reveal().utf8.count > 512)
      #expect(ContinuousClock.now.duration(to: credential.expires) > .seconds(3500))
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 1)
      #expect(fixture.standIn.count(of: Fixture.mintRoute).calls == 1)
    }
  }

  @Test func autoscalingCredentialComesFromTheOtherFamily() async throws {
    try await Fixture.with { fixture in
      let credential = try await fixture.workspace().databaseCredential(for: Fixture.autoscaling)
      #expect(!credential.token.isEmpty)
      #expect(fixture.standIn.count(of: "POST /api/2.0/postgres/credentials").calls == 1)
    }
  }

  @Test func fiftyCallersMakeOneRequest() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.tokenRoute, delayMilliseconds: 100))
      let workspace = fixture.workspace()
      let tokens = try await withThrowingTaskGroup(of: Secret.self) { group in
        for _ in 0..<50 { group.addTask { try await workspace.databaseCredential(for: Fixture.provisioned).token } }
        return try await group.reduce(into: Set<Secret>()) { $0.insert($1) }
      }
      #expect(tokens.count == 1)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 1)
      #expect(fixture.standIn.count(of: Fixture.mintRoute).calls == 1)
    }
  }

  @Test func oneCallerGivingUpDoesNotFailTheOthers() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.tokenRoute, delayMilliseconds: 300))
      let workspace = fixture.workspace()
      let impatient = await failure { () throws(DatabricksError) in
        _ = try await workspace.databaseCredential(for: Fixture.provisioned, deadline: .after(.milliseconds(50)))
      }
      #expect(impatient?.code == .timedOut)
      _ = try await workspace.databaseCredential(for: Fixture.provisioned)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 1)
    }
  }

  @Test func expiredCredentialIsReplaced() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace()
      let first = try await workspace.databaseCredential(for: Fixture.provisioned)
      fixture.time.advance(by: .seconds(3600 - 119))
      let second = try await workspace.databaseCredential(for: Fixture.provisioned)
      #expect(first.token != second.token)
    }
  }

  @Test func ageingCredentialIsRenewedBehindTheCaller() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace()
      let first = try await workspace.databaseCredential(for: Fixture.provisioned)
      fixture.time.advance(by: .seconds(45 * 60))
      let stale = try await workspace.databaseCredential(for: Fixture.provisioned)
      #expect(first.token == stale.token)
      var latest = stale
      while latest.token == first.token {
        await Task.yield()
        latest = try await workspace.databaseCredential(for: Fixture.provisioned)
      }
      #expect(fixture.standIn.count(of: Fixture.mintRoute).calls == 2)
    }
  }

  @Test func forgottenCredentialIsReplacedOnce() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace()
      let refused = try await workspace.databaseCredential(for: Fixture.provisioned)
      await workspace.forgetCredential(for: Fixture.provisioned, refused: refused)
      let second = try await workspace.databaseCredential(for: Fixture.provisioned)
      #expect(second.token != refused.token)
      // A late complaint about the first one must not throw away the second.
      await workspace.forgetCredential(for: Fixture.provisioned, refused: refused)
      let kept = try await workspace.databaseCredential(for: Fixture.provisioned).token
      #expect(kept == second.token)
    }
  }

  @Test func wrongSecretIsPermanent() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace(secret: Secret("dose-wrong"))
      let error = await failure { () throws(DatabricksError) in
        _ = try await workspace.databaseCredential(for: Fixture.provisioned)
      }
      #expect(error?.code == .credentialsRefused)
      if case .permanent? = error?.disposition {} else { Issue.record("not permanent: \(String(describing: error))") }
      #expect(error?.description.contains("dose-wrong") == false)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 1)
    }
  }

  @Test func throttledCallWaitsAsLongAsItIsTold() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.tokenRoute, times: 2, status: 429, retryAfter: "7"))
      _ = try await fixture.workspace().databaseCredential(for: Fixture.provisioned)
      #expect(fixture.time.pauses == [.seconds(7), .seconds(7)])
    }
  }

  @Test func longThrottleIsHandedToTheCaller() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.tokenRoute, times: 9, status: 429, retryAfter: "600"))
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in _ = try await workspace.state(of: Fixture.provisioned) }
      #expect(error?.disposition == .soon(after: .seconds(600)))
      #expect(fixture.time.pauses.isEmpty)
    }
  }

  @Test(arguments: [502, 503, 504]) func gatewayErrorIsTriedAgain(status: Int) async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: "GET /api", status: status, body: "<html>busy</html>", contentType: "text/html"))
      let state = try await fixture.workspace().state(of: Fixture.provisioned)
      #expect(state == .running)
      #expect(fixture.time.pauses == [.seconds(1)])
    }
  }

  @Test func internalErrorIsTriedOnlyThreeTimes() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: "GET /api", times: 9, status: 500))
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in _ = try await workspace.state(of: Fixture.provisioned) }
      #expect(error?.code == .unavailable(retryAfter: nil))
      #expect(fixture.standIn.count(of: "GET /api").calls == 3)
    }
  }

  @Test func brokenBodyIsTriedAgain() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.mintRoute, body: "{", isTruncated: true))
      let credential = try await fixture.workspace().databaseCredential(for: Fixture.provisioned)
      #expect(!credential.token.isEmpty)
    }
  }

  @Test func invalidAccessTokenIsReplacedOnce() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace()
      let before = try await workspace.state(of: Fixture.provisioned)
      #expect(before == .running)
      // The workspace's clock jumps: to it the token has expired, to us it is good.
      fixture.standIn.setClock(offsetSeconds: 7200)
      let after = try await workspace.state(of: Fixture.provisioned)
      #expect(after == .running)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 2)
    }
  }

  @Test func tokenRefusedTwiceAsksForReauthentication() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(
        Fault(route: "GET /api", times: 9, status: 403, body: #"{"error_code":403,"message":"Invalid access token."}"#))
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in _ = try await workspace.state(of: Fixture.provisioned) }
      #expect(error?.disposition == .reauthenticate)
      #expect(fixture.standIn.count(of: "GET /api").calls == 2)
    }
  }

  @Test func blockedAddressIsForbidden() async throws {
    try await Fixture.with { fixture in
      let body = #"{"error_code":"PERMISSION_DENIED","message":"Unauthorized network access to workspace 1"}"#
      fixture.standIn.add(Fault(route: "GET /api", status: 403, body: body))
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in _ = try await workspace.state(of: Fixture.provisioned) }
      #expect(error?.code == .forbidden)
      #expect(error?.message == "PERMISSION_DENIED Unauthorized network access to workspace 1")
    }
  }

  @Test func missingInstanceIsPermanent() async throws {
    try await Fixture.with { fixture in
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in
        _ = try await workspace.databaseCredential(for: .provisioned(name: "gone/away"))
      }
      #expect(error?.code == .notFound)
    }
  }

  @Test func answerWithoutTokenIsAProtocolViolation() async throws {
    try await Fixture.with { fixture in
      fixture.standIn.add(Fault(route: Fixture.mintRoute, status: 200, body: "{}"))
      let workspace = fixture.workspace()
      let error = await failure { () throws(DatabricksError) in
        _ = try await workspace.databaseCredential(for: Fixture.provisioned)
      }
      #expect(error?.code == .protocolViolation)
    }
  }

  @Test func lifetimeMayComeAsText() async throws {
    try await Fixture.with { fixture in
      let token = #"{"access_token":"eyJ.x","token_type":"Bearer","expires_in":"3600"}"#
      fixture.standIn.add(Fault(route: Fixture.tokenRoute, status: 200, body: token))
      // That token is not one of the workspace's own: it is replaced, which shows that it was used.
      let state = try await fixture.workspace().state(of: Fixture.provisioned)
      #expect(state == .running)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 2)
    }
  }

  @Test(arguments: [
    ("AVAILABLE", InstanceState.running), ("STOPPED", .stopped(detail: "STOPPED")),
    ("STARTING", .starting(detail: "STARTING")), ("FAILING_OVER", .starting(detail: "FAILING_OVER")),
    ("DELETING", .deleting), ("SOMETHING_NEW", .starting(detail: "SOMETHING_NEW")),
  ])
  func provisionedStateIsRead(word: String, expected: InstanceState) async throws {
    try await Fixture.with { fixture in
      fixture.standIn.setState(word, of: "sales")
      let state = try await fixture.workspace().state(of: Fixture.provisioned)
      #expect(state == expected)
    }
  }

  @Test(arguments: [
    ("ACTIVE", false, InstanceState.running), ("IDLE", false, .idle), ("INIT", false, .starting(detail: "INIT")),
    ("IDLE", true, .disabled),
  ])
  func endpointStateIsRead(word: String, isDisabled: Bool, expected: InstanceState) async throws {
    try await Fixture.with { fixture in
      fixture.standIn.setState(word, of: Fixture.endpoint)
      fixture.standIn.setDisabled(isDisabled, endpoint: Fixture.endpoint)
      let state = try await fixture.workspace().state(of: Fixture.autoscaling)
      #expect(state == expected)
    }
  }

  @Test func hostComesWithTheDescription() async throws {
    try await Fixture.with { fixture in
      let description = try await fixture.workspace().describe(Fixture.provisioned)
      #expect(description.host?.hasSuffix(".database.localhost") == true)
    }
  }

  @Test func certificateOfAStrangerIsRefused() async throws {
    try await Fixture.with { fixture in
      let http = HTTPClient()
      let workspace = Workspace(
        .init(url: fixture.standIn.workspaceURL, clientID: Fixture.clientID, clientSecret: Fixture.secret), http: http)
      let error = await failure { () throws(DatabricksError) in _ = try await workspace.state(of: Fixture.provisioned) }
      guard case .transport(let cause)? = error?.code else {
        Issue.record("not a transport error: \(String(describing: error))")
        return
      }
      #expect(cause.code == .certificate)
      #expect(fixture.standIn.count(of: Fixture.tokenRoute).calls == 0)
    }
  }
}
