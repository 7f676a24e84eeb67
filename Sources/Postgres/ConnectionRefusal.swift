/// Why no connection came about, read from libpq's text: for a refused login, libpq 15 gives it in no other way.
///
/// With verbose errors the text reads `… failed: FATAL:  28000: message`, `DETAIL:  …` and `LOCATION:  …`.
struct ConnectionRefusal {
  let sqlState: SQLState?
  let message: String
  let detail: String?

  init(_ text: String) {
    let lines = text.split(whereSeparator: \.isNewline).map { $0.drop { $0.isWhitespace } }
    detail = lines.last { $0.hasPrefix("DETAIL:  ") }.map { String($0.dropFirst("DETAIL:  ".count)) }
    let report = /(?:FATAL|ERROR|PANIC):  ([0-9A-Z]{5}): (.*)/
    if let match = lines.lazy.compactMap({ $0.firstMatch(of: report) }).last {
      sqlState = SQLState(rawValue: String(match.1))
      message = String(match.2)
    } else {
      sqlState = nil
      message = Self.transportMessage(lines)
    }
  }

  /// Without `connection to server at … failed: `, which repeats the endpoint.
  private static func transportMessage(_ lines: [Substring]) -> String {
    guard let first = lines.first else { return "the server closed the connection while connecting" }
    guard first.hasPrefix("connection to server"), let end = first.firstRange(of: " failed: ")?.upperBound else {
      return String(first)
    }
    return String(first[end...])
  }

  private var code: PostgresError.Code {
    switch sqlState {
    case SQLState.Class.invalidAuthorization: .authentication
    // Neon's proxy refuses passwords under this code.
    case .internalError where message.hasPrefix("password authentication failed"): .authentication
    case nil where message.contains("no password supplied"): .authentication
    case nil where isAboutTLS: .tls
    case nil: .connect
    default: .server
    }
  }

  private var isAboutTLS: Bool {
    if message.contains("unexpected eof") { return false }
    return ["certificate", "SSL error", "does not support SSL"].contains { message.contains($0) }
  }

  func error(endpoint: String) -> PostgresError {
    PostgresError(code, message, sqlState: sqlState, detail: detail, endpoint: endpoint)
  }
}
