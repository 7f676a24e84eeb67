/// An error that the gateway answers with before it closes the connection.
///
/// Source of the words and codes: LAKEBASE.md, section 7.
struct Refusal: Error, Sendable {
  var severity = "FATAL"
  let code: String
  let message: String
  var detail: String?
  /// The autoscaling proxy leaves this field out.
  var hasPlainSeverity = true
  /// Closes without a word.
  var isSilent = false

  /// Field types of an ErrorResponse with their values.
  var fields: [(UInt8, String)] {
    var fields = [(UInt8(ascii: "S"), severity)]
    if hasPlainSeverity { fields.append((UInt8(ascii: "V"), severity)) }
    fields += [(UInt8(ascii: "C"), code), (UInt8(ascii: "M"), message)]
    if let detail { fields.append((UInt8(ascii: "D"), detail)) }
    return fields
  }

  static let silent = Refusal(code: "", message: "", isSilent: true)
  static let insecure = Refusal(
    code: "08006",
    message:
      "Insecure connection. Ensure that connection is using SSL. Try using `sslmode=require` in the connection string.")
  static let noServerName = Refusal(
    code: "08006", message: "Connection does not have SNI.", detail: "Please upgrade your client to support SNI.")
  static let startupLength = Refusal(code: "08006", message: "Invalid length of startup packet.")
  static let unencryptedData = Refusal(code: "08P01", message: "Received unencrypted data after SSL request.")
  static let startingUp = Refusal(code: "57P03", message: "the database system is starting up")
  static let stopped = Refusal(code: "57P01", message: "terminating connection due to administrator command")
  static let tooManyConnections = Refusal(code: "53300", message: "sorry, too many clients already")
  static let noPassword = Refusal(code: "08P01", message: "expected password response")

  static func invalidProtocol(_ version: Int32) -> Refusal {
    Refusal(
      code: "08P01", message: "Invalid protocol version. Protocol version: \(version)",
      detail: "Ensure that connection is using SSL.")
  }

  static func unsupportedProtocol(_ version: Int32) -> Refusal {
    Refusal(
      code: "0A000",
      message: "Unsupported frontend protocol \(version >> 16).\(version & 0xffff). Server supports 3.0 to 3.0")
  }

  /// Stopped, blocked, not yet there: the gateway says the same for all.
  static func externalAuthorization(reason: String? = nil) -> Refusal {
    let detail =
      "This could be due to paused instances, disabling readable secondaries, IP ACLs or private link configuration."
    return Refusal(
      code: "28000", message: "External authorization failed.", detail: reason.map { "\(detail) \($0)" } ?? detail)
  }

  static func login(_ kind: StandIn.Instance.Kind) -> Refusal {
    switch kind {
    case .provisioned: Refusal(code: "28000", message: "Invalid authorization for databricks identity login")
    case .autoscaling: Refusal(code: "28000", message: "OAuth: User is not authorized")
    }
  }

  static func unknownRole(_ user: String) -> Refusal {
    Refusal(code: "28P01", message: "password authentication failed for user \"\(user)\"")
  }

  /// Every error of the autoscaling proxy has the same code.
  static func proxy(_ message: String) -> Refusal {
    Refusal(severity: "ERROR", code: "XX000", message: message, hasPlainSeverity: false)
  }
}
