extension TextPatternParser {
  /// What follows a backslash, inside and outside of a class.
  mutating func escapedSet() throws(GovernanceError) -> ScalarSet {
    guard let letter = peek() else { throw fault("the pattern ends with a backslash") }
    if let set = ScalarSet.named(letter) {
      index += 1
      return set
    }
    let plain: [Unicode.Scalar: Unicode.Scalar] = [
      "a": "\u{07}", "f": "\u{0C}", "t": "\t", "n": "\n", "r": "\r", "v": "\u{0B}",
    ]
    if letter == "x" { return ScalarSet(try hexadecimal()) }
    guard let scalar = plain[letter] ?? (letter.isPunctuation ? letter : nil) else {
      throw fault("\"\\\(letter)\" is outside the subset")
    }
    index += 1
    return ScalarSet(scalar)
  }

  private mutating func hexadecimal() throws(GovernanceError) -> Unicode.Scalar {
    index += 1
    let isBraced = accept("{")
    var digits = ""
    while let scalar = peek(), scalar.isHexadecimalDigit, isBraced || digits.count < 2 {
      digits.unicodeScalars.append(scalar)
      index += 1
    }
    let isComplete = isBraced ? accept("}") : digits.count == 2
    guard isComplete, let scalar = UInt32(digits, radix: 16).flatMap(Unicode.Scalar.init) else {
      throw fault("\"\\x\" needs two digits, or a code point in braces")
    }
    return scalar
  }

  mutating func scalarClass() throws(GovernanceError) -> ScalarSet {
    let isNegated = accept("^")
    var ranges: [ClosedRange<UInt32>] = []
    while ranges.isEmpty || peek() != "]" {
      guard peek() != nil else { throw fault("a class is not closed") }
      if peek() == "[", peek(1) == ":" { throw fault("named classes are outside the subset") }
      let low = try classElement()
      guard peek() == "-", let end = peek(1), end != "]" else {
        ranges += low.positiveRanges
        continue
      }
      index += 1
      let high = try classElement()
      guard let first = low.only, let last = high.only, first <= last else { throw fault("a range is out of order") }
      ranges.append(first...last)
    }
    index += 1
    return ScalarSet(ranges, isNegated: isNegated)
  }

  private mutating func classElement() throws(GovernanceError) -> ScalarSet {
    if accept("\\") { return try escapedSet() }
    guard let scalar = peek() else { throw fault("a class is not closed") }
    index += 1
    return ScalarSet(scalar)
  }
}

extension ScalarSet {
  /// Its code point, if it is only one.
  fileprivate var only: UInt32? {
    guard !isNegated, ranges.count == 1, ranges[0].count == 1 else { return nil }
    return ranges[0].lowerBound
  }
}

extension Unicode.Scalar {
  fileprivate var isPunctuation: Bool {
    isASCII && value > 0x20 && value < 0x7F && !isDigit && (!isWordStart || self == "_")
  }
}
