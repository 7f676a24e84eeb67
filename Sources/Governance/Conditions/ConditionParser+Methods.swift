extension ConditionParser {
  /// A call on `part`, from its name on.
  mutating func method(on part: Part) throws(ConditionError) -> Part {
    guard case .identifier(let name) = current.kind else { throw unexpected("the name of a method") }
    let token = advance()
    guard isAt("(") else {
      throw fault(.syntax, "\(part.type) has no field \"\(name)\"", at: token.offset)
    }
    if let test = TextTest(rawValue: name) {
      try requireString(part, for: name)
      let argument = try onlyArgument(of: name)
      try requireString(argument, for: name)
      let expression = ConditionExpression.text(test, of: part.expression, argument: argument.expression)
      return Part(expression: expression, type: .bool, offset: part.offset)
    }
    if name == "matches" { return try matches(part) }
    if let quantifier = Quantifier(rawValue: name) { return try quantified(quantifier, part) }
    throw fault(
      .outsideSubset, "the method \"\(name)\" is outside the subset of CEL for conditions", at: token.offset)
  }

  private mutating func onlyArgument(of name: String) throws(ConditionError) -> Part {
    let open = advance()
    let part = try nested(at: open.offset) { (parser) throws(ConditionError) in try parser.expression() }
    if isAt(",") { throw fault(.syntax, "\"\(name)\" takes one argument", at: current.offset) }
    try expect(")")
    return part
  }

  private mutating func matches(_ part: Part) throws(ConditionError) -> Part {
    try requireString(part, for: "matches")
    let argument = try onlyArgument(of: "matches")
    guard case .literal(.string(let source)) = argument.expression else {
      throw fault(.outsideSubset, "the pattern of \"matches\" must be a string literal", at: argument.offset)
    }
    do {
      let pattern = try TextPattern(source)
      return Part(expression: .matches(part.expression, pattern), type: .bool, offset: part.offset)
    } catch {
      throw fault(.syntax, error.message, at: argument.offset)
    }
  }

  private mutating func quantified(_ quantifier: Quantifier, _ part: Part) throws(ConditionError) -> Part {
    guard let element = part.type.element else {
      throw fault(.type, "\"\(quantifier)\" needs a list, and this is \(part.type)", at: part.offset)
    }
    let open = advance()
    guard variables.count < limits.quantifiers else {
      let message = "\"exists\" and \"all\" are nested deeper than \(limits.quantifiers) levels"
      throw fault(.limit, message, at: open.offset)
    }
    variables.append((try variable(), element))
    defer { variables.removeLast() }
    try expect(",")
    let body = try nested(at: open.offset) { (parser) throws(ConditionError) in try parser.expression() }
    try requireBoolean(body, for: quantifier.rawValue)
    try expect(")")
    let level = variables.count - 1
    let expression = ConditionExpression.quantified(quantifier, over: part.expression, level: level, body.expression)
    return Part(expression: expression, type: .bool, offset: part.offset)
  }

  private mutating func variable() throws(ConditionError) -> String {
    guard case .identifier(let name) = current.kind else { throw unexpected("the name of a variable") }
    guard !ConditionToken.reserved.contains(name), name != "user", name != "table" else {
      throw fault(.syntax, "\"\(name)\" is taken; give the variable another name", at: current.offset)
    }
    _ = advance()
    return name
  }

  private func requireString(_ part: Part, for method: String) throws(ConditionError) {
    guard !part.type.canBeString else { return }
    throw fault(.type, "\"\(method)\" needs a string, and this is \(part.type)", at: part.offset)
  }
}

extension ConditionParser {
  func fault(_ code: ConditionError.Code, _ message: String, at offset: Int) -> ConditionError {
    ConditionError(code: code, position: TextPosition(of: offset, in: scalars), message: message)
  }

  /// The current token is not what was expected; what CEL knows and conditions do not is refused by its name.
  func unexpected(_ expectation: String) -> ConditionError {
    if case .symbol(let symbol) = current.kind, let construct = Self.constructs[symbol] {
      return fault(.outsideSubset, "\(construct) outside the subset of CEL for conditions", at: current.offset)
    }
    let after = index > 0 ? " after \(tokens[index - 1].name)" : ""
    let found = current.kind == .end ? "" : ", found \(current.name)"
    return fault(.syntax, "expected \(expectation)\(after)\(found)", at: current.offset)
  }

  private static let constructs: [String: String] = {
    let arithmetic = "arithmetic is"
    let ordering = "comparisons by order (<, <=, >, >=) are"
    let conditional = "the conditional operator (?:) is"
    return [
      "+": arithmetic, "-": arithmetic, "*": arithmetic, "/": arithmetic, "%": arithmetic, "<": ordering,
      "<=": ordering, ">": ordering, ">=": ordering, "?": conditional, ":": conditional, "{": "maps and messages are",
      "null": "null is",
    ]
  }()
}
