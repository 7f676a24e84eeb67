import Foundation
import HTTP
import Platform

/// Calls of the workspace's REST API, each with a valid access token.
struct WorkspaceAPI: Sendable {
  private let url: String
  private let requests: RepeatedRequest
  private let time: WorkspaceTime
  private let accessToken: RenewedValue<Secret>

  init(_ credentials: WorkspaceCredentials, _ requests: RepeatedRequest, _ time: WorkspaceTime) {
    self.url = credentials.url
    self.requests = requests
    self.time = time
    // 40 s: a token with 30 s left is refused by some clouds (databricks-sdk-py).
    accessToken = RenewedValue(name: "access token", rules: .init(lead: .seconds(40)), time: time) {
      do throws(DatabricksError) {
        return .success(try await Self.signIn(credentials, requests, time))
      } catch { return .failure(error) }
    }
  }

  /// One call; a token that is not accepted is replaced once.
  func call(
    _ method: String, _ path: String, body: [String: any Sendable]? = nil, operation: String, deadline: Deadline?
  ) async throws(DatabricksError) -> HTTPResponse {
    let (token, generation) = try await accessToken.value(deadline: deadline)
    let request = try self.request(method, path, body, operation)
    do {
      return try await requests.send(request.bearing(token), operation: operation, deadline: deadline)
    } catch  where error.code == .tokenRefused {
      await accessToken.forget(generation: generation)
      let (token, _) = try await accessToken.value(deadline: deadline)
      return try await requests.send(request.bearing(token), operation: operation, deadline: deadline)
    }
  }

  /// A new database credential. The request is safe to repeat: it only makes another token.
  func mint(
    for instance: InstanceReference, operation: String
  ) async throws(DatabricksError) -> Fresh<DatabaseCredential> {
    let obtained = time.now()
    let response =
      switch instance {
      case .provisioned(let name):
        try await call(
          "POST", "/api/2.0/database/credentials",
          body: ["request_id": UUID().uuidString.lowercased(), "instance_names": [name]], operation: operation,
          deadline: nil)
      case .autoscaling(let endpoint):
        try await call(
          "POST", "/api/2.0/postgres/credentials", body: ["endpoint": endpoint], operation: operation, deadline: nil)
      }
    let answer = try WireFormat.decode(WireFormat.Credential.self, response, operation: operation)
    guard !answer.token.isEmpty, let text = answer.expiration_time ?? answer.expire_time,
      let expiration = WireTime.rfc3339(text)
    else {
      throw DatabricksError(
        code: .protocolViolation, operation: operation, status: response.status,
        message: "the answer has no token or no time of expiry")
    }
    // Measured against the other side's clock where it tells it, so that ours may be wrong.
    let now = response.header("Date").flatMap { WireTime.httpDate($0) } ?? time.date()
    let expires = obtained.advanced(by: .seconds(max(0, expiration.timeIntervalSince(now))))
    let credential = DatabaseCredential(token: Secret(answer.token), expires: expires)
    return Fresh(value: credential, obtained: obtained, expires: expires)
  }

  private static func signIn(
    _ credentials: WorkspaceCredentials, _ requests: RepeatedRequest, _ time: WorkspaceTime
  ) async throws(DatabricksError) -> Fresh<Secret> {
    let operation = "signing in to \(credentials.url)"
    let pair = "\(WireFormat.escape(credentials.clientID)):\(WireFormat.escape(credentials.clientSecret.reveal()))"
    let request = HTTPRequest(
      method: "POST", url: credentials.url + "/oidc/v1/token",
      headers: [
        ("Authorization", "Basic \(Data(pair.utf8).base64EncodedString())"),
        ("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"),
      ],
      body: Array("grant_type=client_credentials&scope=all-apis".utf8))
    let obtained = time.now()
    let response = try await requests.send(request, operation: operation, deadline: nil)
    let answer = try WireFormat.decode(WireFormat.AccessToken.self, response, operation: operation)
    let expires = obtained.advanced(by: .seconds(max(0, answer.expiresIn)))
    return Fresh(value: Secret(answer.accessToken), obtained: obtained, expires: expires)
  }

  private func request(
    _ method: String, _ path: String, _ body: [String: any Sendable]?, _ operation: String
  ) throws(DatabricksError) -> HTTPRequest {
    var request = HTTPRequest(method: method, url: url + path, headers: [("Accept", "application/json")])
    guard let body else { return request }
    do { request.body = Array(try JSONSerialization.data(withJSONObject: body)) } catch {
      throw DatabricksError(code: .badRequest, operation: operation, message: "the request has no JSON form")
    }
    request.headers.append(("Content-Type", "application/json"))
    return request
  }
}

extension HTTPRequest {
  fileprivate func bearing(_ token: Secret) -> HTTPRequest {
    var request = self
    request.headers.append(("Authorization", "Bearer \(token.reveal())"))
    return request
  }
}
