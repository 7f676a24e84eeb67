/// What one look at the installation found.
struct Finding: Sendable, Equatable {
  enum Verdict: String, Sendable {
    case ok
    /// It could not be looked at.
    case unknown
    /// Worth knowing; Sluice keeps its promises all the same.
    case warning
    /// A promise is broken or about to be, or work stands still.
    case error
  }

  /// What was looked at, as `redis memory`: part of the contract, for scripts that pick one out.
  let check: String
  let verdict: Verdict
  let message: String
  /// What to do about it; nil for `ok`.
  let remedy: String?

  private init(_ check: String, _ verdict: Verdict, _ message: String, _ remedy: String?) {
    self.check = check
    self.verdict = verdict
    self.message = message
    self.remedy = remedy
  }

  static func ok(_ check: String, _ message: String) -> Finding { Finding(check, .ok, message, nil) }

  static func warning(_ check: String, _ message: String, remedy: String) -> Finding {
    Finding(check, .warning, message, remedy)
  }

  static func error(_ check: String, _ message: String, remedy: String) -> Finding {
    Finding(check, .error, message, remedy)
  }

  /// What was not looked at, because of what another finding says.
  static func unknown(_ check: String, because cause: String) -> Finding {
    Finding(check, .unknown, "not checked", "first set right: \(cause)")
  }

  var record: OutputRecord {
    [
      "check": .text(check), "verdict": .text(verdict.rawValue), "message": .text(message),
      "remedy": .optional(remedy),
    ]
  }

  /// One line for people.
  func line(width: Int) -> String {
    let name = check.padding(toLength: max(width, check.count), withPad: " ", startingAt: 0)
    let verdict = verdict.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
    return "\(verdict)  \(name)  \(OutputValue.text([message, remedy].compactMap(\.self).joined(separator: "; ")).cell)"
  }
}
