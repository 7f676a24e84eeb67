/// Durations as people write them: `25s`, `500ms`, `1h30m`, `2d`; a number alone counts seconds.
enum DurationText {
  private static let units: [(suffix: String, milliseconds: Int64)] = [
    ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
  ]
  /// The longest duration anybody may write: ten years, so that sums stay far from overflow.
  private static let limit: Int64 = 3650 * 86_400_000

  /// Nil if `text` is not a duration.
  static func parse(_ text: String) -> Duration? {
    if let seconds = Int64(text), seconds >= 0, seconds <= limit / 1000 { return .seconds(seconds) }
    var rest = text[...]
    var total: Int64 = 0
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      guard let count = Int64(digits), count <= limit else { return nil }
      rest = rest.dropFirst(digits.count)
      let name = String(rest.prefix { $0.isLetter })
      guard let unit = units.first(where: { $0.suffix == name }) else { return nil }
      rest = rest.dropFirst(name.count)
      let (product, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
      guard !overflow, product <= limit, total + product <= limit else { return nil }
      total += product
    }
    return .milliseconds(total)
  }

  /// The shortest exact form in one unit where there is one, such as `90s` or `1h`.
  static func format(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let milliseconds = seconds * 1000 + attoseconds / 1_000_000_000_000_000
    if milliseconds == 0 { return "0s" }
    for unit in units.reversed() where milliseconds % unit.milliseconds == 0 {
      return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }
    return "\(milliseconds)ms"
  }

  /// To whole seconds, for people.
  static func rounded(_ duration: Duration) -> String { format(.seconds(duration.components.seconds)) }
}
