/// Tells what a refused connection to a Lakebase database asks for.
///
/// Source: LAKEBASE.md, table (a), rows 13 to 23; row numbers stand beside the rules. The autoscaling proxy gives
/// every error the code XX000, so there only the words tell; and the gateway says the same for a stopped instance
/// and a blocked address, so there only the workspace tells.
package enum LoginFailure {
  /// - Parameters:
  ///   - sqlState: the server's code, or nil if none was received
  ///   - message: the server's or the client library's primary message
  ///   - detail: the server's DETAIL
  ///   - transport: no server answered: refused, timed out, not resolved, closed in between
  package static func classify(
    sqlState: String?, message: String, detail: String? = nil, transport: Bool
  ) -> Disposition {
    let words = Words(message: message, detail: detail)
    if words.contain(anyOf: blocked) { return .forbidden(remedy: allowAddress) }
    guard let sqlState, !transport else { return unanswered(words) }
    switch sqlState.prefix(2) {
    case "28": return refused(sqlState, words)
    case "XX": return proxied(words)
    case "08", "0A": return protocolFailure(sqlState, words)
    case "53", "57", "58": return .soon(after: nil)  // 20, 22
    case "3D": return .permanent(remedy: "the database does not exist: remove it from the connection's sync")  // 23
    case "55": return .soon(after: nil)
    default: return .permanent(remedy: "correct the connection's database or user according to the message")
    }
  }

  private static let allowAddress = "allow this machine's address in the workspace's IP access list or network policy"
  private static let blocked = [
    "blocked by databricks ip acl", "unauthorized network access", "this ip address", "blocked network",
  ]

  /// Rows 19 and 21: no SQLSTATE.
  private static func unanswered(_ words: Words) -> Disposition {
    if words.contain(anyOf: ["certificate verify failed", "certificate verification", "does not match host name"]) {
      return .permanent(remedy: "give the certificate authority that signed the database's certificate")
    }
    if words.contain(anyOf: ["does not support ssl", "root certificate file"]) {
      return .permanent(remedy: "correct the TLS settings of the connection")
    }
    return .askInstance
  }

  /// Rows 13, 14 and 23: class 28.
  private static func refused(_ sqlState: String, _ words: Words) -> Disposition {
    if words.contain(anyOf: ["external authorization failed"]) { return .askInstance }
    if sqlState == "28000", words.contain(anyOf: ["does not exist", "is not permitted to log in"]) {
      return .permanent(remedy: "create the role with databricks_create_role so that it can log in")
    }
    return .reauthenticate
  }

  /// Rows 15 to 18 and 22: everything that the autoscaling proxy says.
  private static func proxied(_ words: Words) -> Disposition {
    if words.contain(anyOf: ["password authentication failed"]) { return .reauthenticate }
    if words.contain(anyOf: ["endpoint is disabled", "endpoint has been disabled"]) { return .whenRunning }
    if words.contain(anyOf: ["endpoint cannot be found"]) {
      return .permanent(remedy: "the endpoint does not exist: correct the host, or remove the connection")
    }
    if words.contain(anyOf: ["connection is insecure", "endpoint id is not specified", "project name"]) {
      return .permanent(remedy: "connect with TLS and by the endpoint's own host name")
    }
    return .soon(after: nil)
  }

  /// Rows 20 and 21: classes 08 and 0A.
  private static func protocolFailure(_ sqlState: String, _ words: Words) -> Disposition {
    let ours = [
      "invalid protocol version", "insecure connection", "does not have sni", "unencrypted data",
      "invalid length of startup packet", "unsupported startup parameter",
    ]
    if sqlState.hasPrefix("0A") || words.contain(anyOf: ours) {
      return .permanent(remedy: "connect with TLS, by host name, with protocol 3.0")
    }
    return .soon(after: nil)
  }
}

/// A message and its detail, compared without regard to case.
private struct Words {
  let text: String

  init(message: String, detail: String?) { text = (message + "\n" + (detail ?? "")).lowercased() }

  func contain(anyOf phrases: [String]) -> Bool { phrases.contains { text.contains($0) } }
}
