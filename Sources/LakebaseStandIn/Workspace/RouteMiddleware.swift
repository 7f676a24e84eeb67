import Foundation
import Hummingbird

/// Counts every call and lets the planned faults happen.
struct FaultMiddleware: RouterMiddleware {
  let state: WorkspaceState

  func handle(
    _ request: Request, context: BasicRequestContext, next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    let route = "\(request.method.rawValue) \(request.uri.path)"
    if request.uri.path.hasPrefix("/stand-in/") { return try await next(request, context) }
    let fault = state.begin(route)
    defer { state.end(route) }
    if let delay = fault?.delayMilliseconds { try await Task.sleep(for: .milliseconds(delay)) }
    var response: Response
    if let fault, fault.status != nil || fault.isTruncated == true {
      response = Self.response(fault)
    } else {
      response = try await next(request, context)
    }
    if let name = HTTPFields.Element.Name("x-request-id") { response.headers[name] = UUID().uuidString.lowercased() }
    return response
  }

  private static func response(_ fault: Fault) -> Response {
    var headers: HTTPFields = [.contentType: fault.contentType ?? "application/json; charset=UTF-8"]
    headers[.retryAfter] = fault.retryAfter
    let text = fault.body ?? #"{"error_code":"UNKNOWN","message":"planned fault"}"#
    let status = HTTPResponse.Status(code: fault.status ?? 200)
    guard fault.isTruncated == true else {
      return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
    }
    let body = ResponseBody(contentLength: text.utf8.count + 100) { writer in
      try await writer.write(ByteBuffer(string: text))
      throw CancellationError()
    }
    return Response(status: status, headers: headers, body: body)
  }
}

/// Lets only bearers of a valid access token through to `/api`.
struct BearerMiddleware: RouterMiddleware {
  let state: WorkspaceState

  func handle(
    _ request: Request, context: BasicRequestContext, next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    guard request.uri.path.hasPrefix("/api/") else { return try await next(request, context) }
    guard let text = request.headers[.authorization], text.hasPrefix("Bearer ") else {
      var refused = Reply.error(
        .unauthorized, code: 401, "Credential was not sent or was of an unsupported type for this API.")
      refused.headers[.wwwAuthenticate] = #"Bearer realm="DatabricksRealm""#
      return refused
    }
    guard Bearer.claims(of: request, state) != nil else {
      return Reply.error(.forbidden, code: 403, "Invalid access token.")
    }
    return try await next(request, context)
  }
}

/// The caller of an API request.
enum Bearer {
  static func claims(of request: Request, _ state: WorkspaceState) -> Claims? {
    guard let text = request.headers[.authorization] else { return nil }
    let claims = state.mint.claims(of: String(text.dropFirst("Bearer ".count)), at: state.date)
    return claims?.scope == Claims.workspaceScope ? claims : nil
  }
}
