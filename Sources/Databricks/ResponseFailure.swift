import Foundation
import HTTP

/// Turns a response that is not a success into an error.
///
/// Source: LAKEBASE.md, table (a), rows 1 to 9; the shapes of bodies are those of its sections 1.3 and 1.5: JSON with
/// `error_code` as text or number, OAuth's `error`, plain text, HTML, or nothing.
enum ResponseFailure {
  static func error(_ response: HTTPResponse, operation: String) -> DatabricksError {
    let body = ErrorBody(response.body)
    return DatabricksError(
      code: code(response, body), operation: operation, status: response.status, message: body.shownMessage)
  }

  private static func code(_ response: HTTPResponse, _ body: ErrorBody) -> DatabricksError.Code {
    switch response.status {
    case 400 where body.code == "invalid_client", 401 where body.code == "invalid_client": return .credentialsRefused
    case 401: return .tokenRefused
    // An expired access token is answered with 403, not 401.
    case 403 where body.message.contains("Invalid access token"): return .tokenRefused
    case 403: return .forbidden
    case 404: return .notFound
    case 429: return .throttled(retryAfter: retryAfter(response))
    case 500...599: return .unavailable(retryAfter: retryAfter(response))
    case 400..<500: return .badRequest
    default: return .protocolViolation
    }
  }

  /// Seconds, or the date until which to wait, measured against the response's own `Date`.
  private static func retryAfter(_ response: HTTPResponse) -> Duration? {
    guard let text = response.header("Retry-After") else { return nil }
    if let seconds = Int(text), seconds >= 0 { return .seconds(min(seconds, 3600)) }
    guard let until = WireTime.httpDate(text) else { return nil }
    let now = response.header("Date").flatMap { WireTime.httpDate($0) } ?? Date()
    return .seconds(min(max(0, until.timeIntervalSince(now)), 3600))
  }
}

/// The body of an error response, as far as it can be read.
struct ErrorBody {
  /// Longest message kept, in characters.
  static let longestMessage = 300

  let code: String
  let message: String

  init(_ bytes: [UInt8]) {
    guard let object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any] else {
      // best effort: a body that is not JSON is shown as the text it is
      code = ""
      message = String(decoding: bytes.prefix(2000), as: UTF8.self)
      return
    }
    let code = object["error_code"] ?? object["error"] ?? object["errorCode"]
    self.code = code.map { "\($0)" } ?? ""
    message =
      object["message"] as? String ?? object["error_description"] as? String ?? object["errorSummary"] as? String ?? ""
  }

  /// On one line, without markup, shortened, and without anything that looks like a token or an OAuth secret.
  var shownMessage: String {
    let text = message.replacing(/<[^>]*>/, with: " ")
    let words = text.split { $0.isWhitespace || $0.isNewline }.map { word in
      word.hasPrefix("eyJ") || word.hasPrefix("dose") || word.hasPrefix("dapi") ? "<redacted>" : String(word)
    }
    let line = ([code].filter { !$0.isEmpty && Int($0) == nil } + words).joined(separator: " ")
    return line.isEmpty ? "the workspace gave no reason" : String(line.prefix(Self.longestMessage))
  }
}
