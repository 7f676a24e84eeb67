import Foundation
import Hummingbird
import Platform

/// Signing in: discovery and the token endpoint (LAKEBASE.md, b.1, 1 and 2).
struct TokenRoutes: Sendable {
  let state: WorkspaceState

  func add(to router: Router<BasicRequestContext>) {
    router.get("/oidc/.well-known/oauth-authorization-server") { request, _ in discovery(request) }
    router.post("/oidc/v1/token") { request, _ in try await token(request) }
  }

  private func discovery(_ request: Request) -> Response {
    let origin = "https://\(request.head.authority ?? "localhost")/oidc"
    return Reply.json(
      .ok,
      [
        "issuer": origin, "token_endpoint": "\(origin)/v1/token", "authorization_endpoint": "\(origin)/v1/authorize",
        "jwks_uri": "\(origin)/jwks.json",
        "scopes_supported": [Claims.workspaceScope, "offline_access", "openid", "sql"],
        "response_types_supported": ["code"], "grant_types_supported": ["client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "request_uri_parameter_supported": false,
      ] as [String: Any])
  }

  private func token(_ request: Request) async throws -> Response {
    guard request.headers[.contentType]?.hasPrefix("application/x-www-form-urlencoded") == true else {
      return Reply.oauthError(.badRequest, "invalid_request", "The body must be a form")
    }
    let form = try await RequestBody.form(of: request)
    guard let (name, secret) = Self.basic(request) ?? Self.posted(form), state.accepts(name: name, secret: secret)
    else {
      return Reply.oauthError(.unauthorized, "invalid_client", "Client authentication failed")
    }
    guard form["grant_type"] == "client_credentials" else {
      return Reply.oauthError(.badRequest, "unsupported_grant_type", "The grant type is not supported")
    }
    guard form["scope"] == Claims.workspaceScope else {
      return Reply.oauthError(.badRequest, "invalid_scope", "The scope is not supported")
    }
    let lifetime = state.accessTokenLifetime
    let token = try state.mint.token(
      for: name, scope: Claims.workspaceScope, issued: state.date, lifetime: lifetime)
    return Reply.json(
      .ok,
      [
        "access_token": token.reveal(), "scope": Claims.workspaceScope, "token_type": "Bearer",
        "expires_in": Int(lifetime.inSeconds),
      ] as [String: Any])
  }

  /// Both halves are form-encoded before they are joined (RFC 6749, section 2.3.1).
  private static func basic(_ request: Request) -> (String, Secret)? {
    guard let text = request.headers[.authorization], text.hasPrefix("Basic "),
      let data = Data(base64Encoded: String(text.dropFirst("Basic ".count)))
    else { return nil }
    let halves = String(decoding: data, as: UTF8.self).split(separator: ":", maxSplits: 1).map(String.init)
    guard halves.count == 2, let name = halves[0].removingPercentEncoding,
      let secret = halves[1].removingPercentEncoding
    else { return nil }
    return (name, Secret(secret))
  }

  private static func posted(_ form: [String: String]) -> (String, Secret)? {
    guard let name = form["client_id"], let secret = form["client_secret"] else { return nil }
    return (name, Secret(secret))
  }
}
