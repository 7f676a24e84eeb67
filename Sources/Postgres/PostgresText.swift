import Foundation

/// PostgreSQL's text forms. Each function returns nil for a text of another form.
enum PostgresText {
  /// `\x0aff`
  static func bytes(_ text: String) -> [UInt8]? {
    guard text.hasPrefix("\\x") else { return nil }
    let digits = Array(text.utf8.dropFirst(2))
    guard digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = hexadecimal(digits[index]), let low = hexadecimal(digits[index + 1]) else { return nil }
      bytes.append(high << 4 | low)
    }
    return bytes
  }

  private static func hexadecimal(_ digit: UInt8) -> UInt8? {
    switch digit {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  /// `2026-02-03 04:05:06.789+00`: sessions are in UTC and in ISO style.
  static func date(_ text: String) -> Date? {
    let halves = text.split(separator: " ")
    guard halves.count == 2, halves[1].hasSuffix("+00") else { return nil }
    let day = halves[0].split(separator: "-").compactMap { Int($0) }
    let time = halves[1].dropLast(3).split(separator: ":")
    guard day.count == 3, time.count == 3, let hour = Int(time[0]), let minute = Int(time[1]),
      let second = Double(time[2])
    else { return nil }
    let seconds = daysSince1970(year: day[0], month: day[1], day: day[2]) * 86_400 + hour * 3600 + minute * 60
    return Date(timeIntervalSince1970: Double(seconds) + second)
  }

  /// Counts in years that begin in March, so that the leap day is a year's last.
  private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
    let shiftedYear = month <= 2 ? year - 1 : year
    let shiftedMonth = (month + 9) % 12
    let leapDays = shiftedYear / 4 - shiftedYear / 100 + shiftedYear / 400
    let daysBefore1970 = 719_468
    return shiftedYear * 365 + leapDays + (shiftedMonth * 153 + 2) / 5 + day - 1 - daysBefore1970
  }

  /// `{1,NULL,"a \"quoted\" text"}`, one dimension.
  static func array(_ text: String) -> [String?]? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 2, bytes[0] == UInt8(ascii: "{"), bytes[bytes.count - 1] == UInt8(ascii: "}") else {
      return nil
    }
    var elements: [String?] = []
    var position = 1
    let end = bytes.count - 1
    while position < end {
      guard let element = arrayElement(bytes, &position, end) else { return nil }
      elements.append(element)
      if position < end {
        guard bytes[position] == UInt8(ascii: ",") else { return nil }
        position += 1
      }
    }
    return elements
  }

  /// The outer optional is nil for a broken text, the inner one for a null element.
  private static func arrayElement(_ bytes: [UInt8], _ position: inout Int, _ end: Int) -> String?? {
    let isQuoted = bytes[position] == UInt8(ascii: "\"")
    if isQuoted { position += 1 }
    var element: [UInt8] = []
    while position < end {
      let byte = bytes[position]
      if isQuoted, byte == UInt8(ascii: "\"") {
        position += 1
        return .some(String(decoding: element, as: UTF8.self))
      }
      if !isQuoted, byte == UInt8(ascii: ",") { break }
      if !isQuoted, byte == UInt8(ascii: "{") { return nil }
      if byte == UInt8(ascii: "\\") {
        position += 1
        guard position < end else { return nil }
      }
      element.append(bytes[position])
      position += 1
    }
    if isQuoted { return nil }
    let text = String(decoding: element, as: UTF8.self)
    return .some(text.uppercased() == "NULL" ? nil : text)
  }

  /// A line of COPY's text format without its line end: fields between tabs, `\N` for null.
  static func copyLine(_ line: UnsafeBufferPointer<UInt8>) -> [String?] {
    line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false).map(copyField)
  }

  private static func copyField(_ field: Slice<UnsafeBufferPointer<UInt8>>) -> String? {
    guard field.contains(UInt8(ascii: "\\")) else { return String(decoding: field, as: UTF8.self) }
    if field.elementsEqual("\\N".utf8) { return nil }
    var plain: [UInt8] = []
    var isEscaped = false
    for byte in field {
      if isEscaped {
        plain.append(copyEscapes[byte] ?? byte)
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else {
        plain.append(byte)
      }
    }
    return String(decoding: plain, as: UTF8.self)
  }

  private static let copyEscapes: [UInt8: UInt8] = [
    UInt8(ascii: "b"): 8, UInt8(ascii: "t"): 9, UInt8(ascii: "n"): 10, UInt8(ascii: "v"): 11,
    UInt8(ascii: "f"): 12, UInt8(ascii: "r"): 13,
  ]
}
