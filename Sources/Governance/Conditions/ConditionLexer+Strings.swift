extension ConditionLexer {
  /// Reads a string literal that starts at the quote: plain or raw, with one or three quotes.
  mutating func string(isRaw: Bool) throws(ConditionError) -> String {
    let start = index
    let quote = scalars[index]
    let isLong = scalar(at: index + 1) == quote && scalar(at: index + 2) == quote
    index += isLong ? 3 : 1
    var text = String.UnicodeScalarView()
    while let scalar = scalar(at: index) {
      if scalar == quote, !isLong || (self.scalar(at: index + 1) == quote && self.scalar(at: index + 2) == quote) {
        index += isLong ? 3 : 1
        return String(text)
      }
      if !isLong, scalar == "\n" || scalar == "\r" { break }
      if scalar == "\\", !isRaw {
        text.append(try escape())
      } else {
        text.append(scalar)
        index += 1
      }
    }
    throw fault("this string is not closed", at: start)
  }

  private mutating func escape() throws(ConditionError) -> Unicode.Scalar {
    let start = index
    guard let kind = scalar(at: index + 1) else { throw fault("this escape is not complete", at: start) }
    index += 2
    if let plain = Self.plainEscapes[kind] { return plain }
    switch kind {
    case "x", "X": return try codePoint(digits: 2, radix: 16, from: start)
    case "u": return try codePoint(digits: 4, radix: 16, from: start)
    case "U": return try codePoint(digits: 8, radix: 16, from: start)
    case "0"..."3":
      index -= 1
      return try codePoint(digits: 3, radix: 8, from: start)
    default: throw fault("\"\\\(kind)\" is not an escape; a backslash is written \"\\\\\"", at: start)
    }
  }

  private mutating func codePoint(digits: Int, radix: Int, from start: Int) throws(ConditionError) -> Unicode.Scalar {
    var text = ""
    while text.count < digits, let scalar = scalar(at: index), scalar.isHexadecimalDigit {
      text.unicodeScalars.append(scalar)
      index += 1
    }
    guard text.count == digits, let number = UInt32(text, radix: radix) else {
      throw fault("this escape needs \(digits) digits of base \(radix)", at: start)
    }
    guard let scalar = Unicode.Scalar(number) else { throw fault("this escape is not a code point", at: start) }
    return scalar
  }

  private static let plainEscapes: [Unicode.Scalar: Unicode.Scalar] = [
    "\\": "\\", "\"": "\"", "'": "'", "`": "`", "?": "?", "a": "\u{07}", "b": "\u{08}", "f": "\u{0C}", "n": "\n",
    "r": "\r", "t": "\t", "v": "\u{0B}",
  ]
}
