/// The parts of a regular expression.
indirect enum TextPatternNode: Sendable {
  case scalar(ScalarSet)
  case assertion(TextPattern.Assertion)
  case sequence([TextPatternNode])
  case alternatives([TextPatternNode])
  case repeated(TextPatternNode, least: Int, most: Int?)
}

/// Reads RE2's syntax, as far as `TextPattern` knows it.
struct TextPatternParser {
  /// RE2's own bound on a counted repetition.
  private static let maximumRepetitions = 1_000
  private static let maximumDepth = 64

  private let source: String
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var depth = 0

  init(_ source: String) {
    self.source = source
    scalars = Array(source.unicodeScalars)
  }

  mutating func parse() throws(GovernanceError) -> TextPatternNode {
    let node = try alternatives()
    guard index == scalars.count else { throw fault("\")\" closes no group") }
    return node
  }

  private func fault(_ reason: String) -> GovernanceError {
    let place = "character \(min(index, scalars.count) + 1)"
    return GovernanceError(
      code: .invalidPattern, message: "the pattern \"\(source)\" is refused at \(place): \(reason)")
  }

  private func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
    index + ahead < scalars.count ? scalars[index + ahead] : nil
  }

  private mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
    guard peek() == scalar else { return false }
    index += 1
    return true
  }

  private mutating func alternatives() throws(GovernanceError) -> TextPatternNode {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw fault("groups are nested deeper than \(Self.maximumDepth) levels") }
    var nodes = [try sequence()]
    while accept("|") { nodes.append(try sequence()) }
    return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
  }

  private mutating func sequence() throws(GovernanceError) -> TextPatternNode {
    var nodes: [TextPatternNode] = []
    while let scalar = peek(), scalar != "|", scalar != ")" { nodes.append(try repeated(try single())) }
    return .sequence(nodes)
  }

  private mutating func repeated(_ node: TextPatternNode) throws(GovernanceError) -> TextPatternNode {
    guard let (least, most) = try repetition() else { return node }
    // A lazy repetition finds the same texts.
    _ = accept("?")
    if try repetition() != nil { throw fault("a repetition cannot be repeated; use a group") }
    return .repeated(node, least: least, most: most)
  }

  private mutating func repetition() throws(GovernanceError) -> (least: Int, most: Int?)? {
    if accept("*") { return (0, nil) }
    if accept("+") { return (1, nil) }
    if accept("?") { return (0, 1) }
    guard peek() == "{" else { return nil }
    let start = index
    index += 1
    guard let bounds = bounds() else {
      // As in RE2, a brace that starts no repetition stands for itself.
      index = start
      return nil
    }
    guard bounds.least <= Self.maximumRepetitions, (bounds.most ?? 0) <= Self.maximumRepetitions else {
      throw fault("a repetition counts to \(Self.maximumRepetitions) at most")
    }
    guard bounds.most.map({ $0 >= bounds.least }) ?? true else { throw fault("a repetition needs its bounds in order") }
    return bounds
  }

  private mutating func bounds() -> (least: Int, most: Int?)? {
    guard let least = count() else { return nil }
    if accept("}") { return (least, least) }
    guard accept(",") else { return nil }
    if accept("}") { return (least, nil) }
    guard let most = count(), accept("}") else { return nil }
    return (least, most)
  }

  private mutating func count() -> Int? {
    var digits = ""
    while let scalar = peek(), scalar.isDigit {
      digits.unicodeScalars.append(scalar)
      index += 1
    }
    return digits.isEmpty ? nil : Int(digits) ?? Int.max
  }

  private mutating func single() throws(GovernanceError) -> TextPatternNode {
    guard let scalar = peek() else { throw fault("the pattern ends too early") }
    if scalar == "{" || !["*", "+", "?", "(", "[", ".", "^", "$", "\\"].contains(scalar) {
      index += 1
      return .scalar(ScalarSet(scalar))
    }
    if ["*", "+", "?"].contains(scalar) { throw fault("\"\(scalar)\" has nothing to repeat") }
    index += 1
    switch scalar {
    case "(": return try group()
    case "[": return .scalar(try scalarClass())
    case ".": return .scalar(.anyButNewline)
    case "^": return .assertion(.textStart)
    case "$": return .assertion(.textEnd)
    default: return try escaped()
    }
  }

  private mutating func group() throws(GovernanceError) -> TextPatternNode {
    if peek() == "?" {
      guard peek(1) == ":" else { throw fault("flags, names and assertions in a group are outside the subset") }
      index += 2
    }
    let node = try alternatives()
    guard accept(")") else { throw fault("a group is not closed") }
    return node
  }

  private mutating func escaped() throws(GovernanceError) -> TextPatternNode {
    let assertions: [Unicode.Scalar: TextPattern.Assertion] = [
      "A": .textStart, "z": .textEnd, "b": .wordBoundary, "B": .noWordBoundary,
    ]
    if let letter = peek(), let assertion = assertions[letter] {
      index += 1
      return .assertion(assertion)
    }
    return .scalar(try escapedSet())
  }

  /// What follows a backslash, inside and outside of a class.
  private mutating func escapedSet() throws(GovernanceError) -> ScalarSet {
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

  private mutating func scalarClass() throws(GovernanceError) -> ScalarSet {
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
