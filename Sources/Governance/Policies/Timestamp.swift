/// An instant of the calendar, to the microsecond, as PostgreSQL keeps it.
package struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Since 1970-01-01T00:00:00Z.
  package let microseconds: Int64

  package init(microsecondsSinceEpoch microseconds: Int64) { self.microseconds = microseconds }
  package init(secondsSinceEpoch seconds: Int64) { microseconds = seconds * 1_000_000 }

  package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }

  /// Reads RFC 3339: `2027-01-01T00:00:00Z`, with a fraction of up to six digits and any offset.
  ///
  /// - Throws: `invalidInstant` if it is not one, or has no time or no zone: a guess here would be access too long.
  package init(_ text: String) throws(GovernanceError) {
    guard let microseconds = Self.microseconds(of: text) else {
      let message = "\"\(text)\" is not an instant; write it as 2027-01-01T00:00:00Z"
      throw GovernanceError(code: .invalidInstant, message: message)
    }
    self.init(microsecondsSinceEpoch: microseconds)
  }

  /// RFC 3339 in UTC, with a fraction only where there is one.
  package var description: String {
    let (day, time) = microseconds.flooringDivision(by: Self.day)
    let date = Self.date(ofDay: day)
    let (second, fraction) = time.flooringDivision(by: 1_000_000)
    var text = "\(Self.padded(date.year, 4))-\(Self.padded(date.month))-\(Self.padded(date.day))T"
    text += "\(Self.padded(second / 3600)):\(Self.padded(second / 60 % 60)):\(Self.padded(second % 60))"
    return text + (fraction == 0 ? "" : ".\(Self.padded(fraction, 6))") + "Z"
  }
}

extension Timestamp {
  private static let day: Int64 = 86_400_000_000

  private static func padded(_ number: Int64, _ width: Int = 2) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  private static func microseconds(of text: String) -> Int64? {
    let form = #/(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?([Zz]|[+-]\d{2}:\d{2})/#
    guard text.utf8.allSatisfy({ $0 < 0x80 }), let found = text.wholeMatch(of: form)?.output else { return nil }
    guard let year = Int64(found.1), let month = Int64(found.2), let day = Int64(found.3), let hour = Int64(found.4),
      let minute = Int64(found.5), let second = Int64(found.6), let offset = minutes(ofZone: found.8)
    else { return nil }
    guard year >= 1, (1...12).contains(month), (1...length(ofMonth: month, in: year)).contains(day), hour < 24,
      minute < 60, second < 60
    else { return nil }
    let fraction = found.7.flatMap { Int64($0 + String(repeating: "0", count: 6 - $0.count)) } ?? 0
    let seconds = (hour * 60 + minute - offset) * 60 + second
    return number(ofDay: day, month: month, year: year) * Self.day + seconds * 1_000_000 + fraction
  }

  private static func minutes(ofZone zone: Substring) -> Int64? {
    if zone.count == 1 { return 0 }
    guard let hours = Int64(zone.dropFirst().prefix(2)), let minutes = Int64(zone.suffix(2)) else { return nil }
    guard hours < 24, minutes < 60 else { return nil }
    return (hours * 60 + minutes) * (zone.hasPrefix("-") ? -1 : 1)
  }

  private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func length(ofMonth month: Int64, in year: Int64) -> Int64 {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970-01-01 to the first of January.
  private static func number(ofYear year: Int64) -> Int64 {
    let past = year - 1
    return past * 365 + past / 4 - past / 100 + past / 400 - 719_162
  }

  private static func number(ofDay day: Int64, month: Int64, year: Int64) -> Int64 {
    (1..<month).reduce(number(ofYear: year) + day - 1) { $0 + length(ofMonth: $1, in: year) }
  }

  private static func date(ofDay number: Int64) -> (year: Int64, month: Int64, day: Int64) {
    var year = 1970 + number / 366
    while self.number(ofYear: year) > number { year -= 1 }
    while self.number(ofYear: year + 1) <= number { year += 1 }
    var (rest, month) = (number - self.number(ofYear: year), Int64(1))
    while rest >= length(ofMonth: month, in: year) {
      rest -= length(ofMonth: month, in: year)
      month += 1
    }
    return (year, month, rest + 1)
  }
}

extension Int64 {
  /// Rounds towards the past, so that the rest is never negative.
  fileprivate func flooringDivision(by divisor: Int64) -> (quotient: Int64, rest: Int64) {
    let (quotient, rest) = quotientAndRemainder(dividingBy: divisor)
    return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
  }
}
