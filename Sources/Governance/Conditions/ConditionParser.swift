/// Reads a condition by recursive descent and checks types as it goes, so that an error can say where.
struct ConditionParser {
  /// An expression with what is known of it, and where it starts.
  struct Part {
    let expression: ConditionExpression
    let type: ConditionType
    let offset: Int
  }

  let scalars: [Unicode.Scalar]
  let tokens: [ConditionToken]
  let limits: ConditionLimits
  var index = 0
  var depth = 0
  var variables: [(name: String, type: ConditionType)] = []

  static func parse(_ text: String, limits: ConditionLimits) throws(ConditionError) -> ConditionExpression {
    guard text.utf8.count <= limits.length else {
      let message = "the condition has \(text.utf8.count) bytes; at most \(limits.length) are allowed"
      throw ConditionError(code: .limit, position: TextPosition(line: 1, column: 1), message: message)
    }
    let scalars = Array(text.unicodeScalars)
    var parser = ConditionParser(
      scalars: scalars, tokens: try ConditionLexer.tokens(of: scalars), limits: limits)
    let part = try parser.expression()
    guard parser.current.kind == .end else { throw parser.unexpected("an operator or the end") }
    guard part.type.canBeBoolean else {
      throw parser.fault(.type, "a condition is a boolean, and this is \(part.type)", at: part.offset)
    }
    return part.expression
  }

  var current: ConditionToken { tokens[index] }

  mutating func advance() -> ConditionToken {
    defer { index = min(index + 1, tokens.count - 1) }
    return tokens[index]
  }

  func isAt(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  mutating func accept(_ symbol: String) -> ConditionToken? { isAt(symbol) ? advance() : nil }

  mutating func expect(_ symbol: String) throws(ConditionError) {
    guard accept(symbol) != nil else { throw unexpected("\"\(symbol)\"") }
  }

  mutating func nested<Value>(
    at offset: Int, _ body: (inout ConditionParser) throws(ConditionError) -> Value
  ) throws(ConditionError) -> Value {
    depth += 1
    defer { depth -= 1 }
    guard depth <= limits.depth else {
      throw fault(.limit, "the condition is nested deeper than \(limits.depth) levels", at: offset)
    }
    return try body(&self)
  }

  mutating func expression() throws(ConditionError) -> Part {
    try chain("||", of: { (parser) throws(ConditionError) in try parser.conjunction() }, ConditionExpression.or)
  }

  private mutating func conjunction() throws(ConditionError) -> Part {
    try chain("&&", of: { (parser) throws(ConditionError) in try parser.relation() }, ConditionExpression.and)
  }

  private mutating func chain(
    _ symbol: String, of operand: (inout ConditionParser) throws(ConditionError) -> Part,
    _ make: ([ConditionExpression]) -> ConditionExpression
  ) throws(ConditionError) -> Part {
    let first = try operand(&self)
    guard isAt(symbol) else { return first }
    var parts = [first]
    while accept(symbol) != nil { parts.append(try operand(&self)) }
    for part in parts { try requireBoolean(part, for: symbol) }
    return Part(expression: make(parts.map(\.expression)), type: .bool, offset: first.offset)
  }

  private mutating func relation() throws(ConditionError) -> Part {
    var left = try unary()
    while let symbol = [accept("=="), accept("!="), accept("in")].compactMap(\.self).first {
      let right = try unary()
      left = try relation(symbol, left, right)
    }
    return left
  }

  private func relation(_ symbol: ConditionToken, _ left: Part, _ right: Part) throws(ConditionError) -> Part {
    if symbol.kind == .symbol("in") {
      guard let element = right.type.element else {
        throw fault(.type, "\"in\" needs a list on its right, not \(right.type)", at: right.offset)
      }
      guard left.type.isComparable(to: element) else {
        throw fault(.type, "\(left.type) is never in a list whose elements are each \(element)", at: left.offset)
      }
      let expression = ConditionExpression.member(left.expression, of: right.expression)
      return Part(expression: expression, type: .bool, offset: left.offset)
    }
    guard left.type.isComparable(to: right.type) else {
      throw fault(.type, "\(left.type) never equals \(right.type)", at: symbol.offset)
    }
    let equal = ConditionExpression.equal(left.expression, right.expression)
    let expression = symbol.kind == .symbol("!=") ? .not(equal) : equal
    return Part(expression: expression, type: .bool, offset: left.offset)
  }

  private mutating func unary() throws(ConditionError) -> Part {
    guard let symbol = accept("!") else { return try member() }
    return try nested(at: symbol.offset) { (parser) throws(ConditionError) in
      let operand = try parser.unary()
      try parser.requireBoolean(operand, for: "!")
      return Part(expression: .not(operand.expression), type: .bool, offset: symbol.offset)
    }
  }

  func requireBoolean(_ part: Part, for operation: String) throws(ConditionError) {
    guard !part.type.canBeBoolean else { return }
    throw fault(.type, "\"\(operation)\" needs a boolean, and this is \(part.type)", at: part.offset)
  }
}
