import Foundation
import Hummingbird

/// Answers in the shapes that the workspace API uses.
enum Reply {
  static func json(_ status: HTTPResponse.Status, _ object: Any, headers: HTTPFields = [:]) -> Response {
    var headers = headers
    headers[.contentType] = "application/json; charset=UTF-8"
    let text: Data
    do { text = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]) } catch {
      return Response(status: .internalServerError)
    }
    return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: text)))
  }

  static func error(_ status: HTTPResponse.Status, code: Any, _ message: String) -> Response {
    json(status, ["error_code": code, "message": message])
  }

  static func oauthError(_ status: HTTPResponse.Status, _ error: String, _ description: String) -> Response {
    json(status, ["error": error, "error_description": description])
  }

  static func noInstance(_ name: String) -> Response {
    error(.notFound, code: "NOT_FOUND", "Database instance '\(name)' does not exist.")
  }

  static func noEndpoint() -> Response {
    error(.notFound, code: "NOT_FOUND", "endpoint id not found [TraceId: \(UUID().uuidString.lowercased())]")
  }
}

/// Bodies that the workspace API takes.
enum RequestBody {
  /// Largest body taken, in bytes.
  static let limit = 64 << 10

  static func bytes(of request: Request) async throws -> ByteBuffer { try await request.body.collect(upTo: limit) }

  static func object(of request: Request) async throws -> [String: Any] {
    let bytes = try await bytes(of: request)
    let object = try? JSONSerialization.jsonObject(with: Data(buffer: bytes))  // best effort: no object, no fields
    return object as? [String: Any] ?? [:]
  }

  static func form(of request: Request) async throws -> [String: String] {
    var components = URLComponents()
    components.percentEncodedQuery = String(buffer: try await bytes(of: request)).replacing("+", with: "%20")
    let items = components.queryItems ?? []
    return Dictionary(items.map { ($0.name, $0.value ?? "") }) { first, _ in first }
  }
}
