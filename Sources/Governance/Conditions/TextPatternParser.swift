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
  var index = 0
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

  func fault(_ reason: String) -> GovernanceError {
    let place = "character \(min(index, scalars.count) + 1)"
    return GovernanceError(
      code: .invalidPattern, message: "the pattern \"\(source)\" is refused at \(place): \(reason)")
  }

  func peek(_ ahead: Int = 0) -> Unicode.Scalar? {
    index + ahead < scalars.count ? scalars[index + ahead] : nil
  }

  mutating func accept(_ scalar: Unicode.Scalar) -> Bool {
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
}
