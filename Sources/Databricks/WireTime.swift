import Foundation

/// The two spellings of time that the workspace uses.
enum WireTime {
  /// `2026-01-01T00:00:00Z`, with or without a fraction.
  static func rfc3339(_ text: String) -> Date? {
    let plain = Date.ISO8601FormatStyle()
    if let date = try? plain.parse(text) { return date }  // best effort: the other spelling is tried next
    return try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text)  // best effort: nil says it
  }

  /// `Thu, 01 Jan 2026 00:00:00 GMT`
  static func httpDate(_ text: String) -> Date? {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
    return formatter.date(from: text)
  }
}
