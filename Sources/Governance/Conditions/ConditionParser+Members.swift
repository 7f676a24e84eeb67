extension ConditionParser {
  /// A primary expression with the method calls that follow it.
  mutating func member() throws(ConditionError) -> Part {
    var part = try primary()
    while true {
      if isAt("[") {
        throw fault(.outsideSubset, "an index is outside the subset of CEL for conditions", at: current.offset)
      }
      guard accept(".") != nil else { return part }
      part = try method(on: part)
    }
  }

  private mutating func primary() throws(ConditionError) -> Part {
    let token = current
    switch token.kind {
    case .string(let text): return literal(.string(text), .string)
    case .integer: return try integer(isNegative: false)
    case .symbol("true"): return literal(.bool(true), .bool)
    case .symbol("false"): return literal(.bool(false), .bool)
    case .symbol("["): return try list()
    case .symbol("("):
      _ = advance()
      let inner = try nested(at: token.offset) { (parser) throws(ConditionError) in try parser.expression() }
      try expect(")")
      return Part(expression: inner.expression, type: inner.type, offset: token.offset)
    case .symbol("-"):
      if case .integer = tokens[index + 1].kind {
        _ = advance()
        return try integer(isNegative: true)
      }
      throw unexpected("an expression")
    case .identifier(let name): return try named(name)
    case .symbol, .end: throw unexpected("an expression")
    }
  }

  private mutating func literal(_ value: ConditionValue, _ type: ConditionType) -> Part {
    Part(expression: .literal(value), type: type, offset: advance().offset)
  }

  private mutating func integer(isNegative: Bool) throws(ConditionError) -> Part {
    guard case .integer(let magnitude) = current.kind else { throw unexpected("an integer") }
    guard isNegative || magnitude < 1 << 63 else {
      throw fault(.syntax, "this integer does not fit into 64 bits", at: current.offset)
    }
    return literal(.int(Int64(bitPattern: isNegative ? 0 &- magnitude : magnitude)), .int)
  }

  private mutating func list() throws(ConditionError) -> Part {
    let offset = advance().offset
    let parts = try nested(at: offset) { (parser) throws(ConditionError) in
      var parts: [Part] = []
      while !parser.isAt("]") {
        parts.append(try parser.expression())
        guard parser.accept(",") != nil else { break }
      }
      return parts
    }
    try expect("]")
    let expressions = parts.map(\.expression)
    return Part(expression: .list(expressions), type: .list(try elementType(of: parts)), offset: offset)
  }

  /// CEL itself would allow elements of different types; then nothing could be checked about them before evaluation.
  private func elementType(of parts: [Part]) throws(ConditionError) -> ConditionType {
    var type = ConditionType.unknown
    for (index, part) in parts.enumerated() {
      guard parts[..<index].allSatisfy({ $0.type.isComparable(to: part.type) }) else {
        let message = "the elements of a list must be of one type, and this is \(part.type)"
        throw fault(.outsideSubset, message, at: part.offset)
      }
      type = type.joined(with: part.type)
    }
    return type
  }

  private mutating func named(_ name: String) throws(ConditionError) -> Part {
    let token = advance()
    if isAt("(") {
      throw fault(
        .outsideSubset, "the function \"\(name)\" is outside the subset of CEL for conditions", at: token.offset)
    }
    if let level = variables.lastIndex(where: { $0.name == name }) {
      return Part(expression: .variable(level: level), type: variables[level].type, offset: token.offset)
    }
    switch name {
    case "user": return try userFact(from: token.offset)
    case "table": return try tableFact(from: token.offset)
    default:
      throw fault(.syntax, "\"\(name)\" is not known here; conditions know user and table", at: token.offset)
    }
  }

  private mutating func userFact(from offset: Int) throws(ConditionError) -> Part {
    let (name, place) = try field(of: "user")
    if name == "attributes" { return Part(expression: .attribute(try key()), type: .attribute, offset: offset) }
    guard let fact = UserFact(rawValue: name) else {
      throw fault(.syntax, "user has name, email, groups and attributes, but no \"\(name)\"", at: place)
    }
    return Part(expression: .user(fact), type: fact == .groups ? .list(.string) : .string, offset: offset)
  }

  private mutating func tableFact(from offset: Int) throws(ConditionError) -> Part {
    let (name, place) = try field(of: "table")
    guard let fact = TableFact(rawValue: name) else {
      throw fault(.syntax, "table has connection, database, schema, name and tags, but no \"\(name)\"", at: place)
    }
    return Part(expression: .table(fact), type: fact == .tags ? .list(.string) : .string, offset: offset)
  }

  private mutating func field(of owner: String) throws(ConditionError) -> (name: String, offset: Int) {
    guard accept(".") != nil, case .identifier(let name) = current.kind else {
      throw fault(.syntax, "\"\(owner)\" is no value by itself; write \(owner).name, for example", at: current.offset)
    }
    return (name, advance().offset)
  }

  private mutating func key() throws(ConditionError) -> String {
    if accept(".") != nil, case .identifier(let key) = current.kind {
      _ = advance()
      return key
    }
    if accept("[") != nil, case .string(let key) = current.kind {
      _ = advance()
      try expect("]")
      return key
    }
    let advice = "name the attribute: user.attributes.region or user.attributes[\"region\"]"
    throw fault(.outsideSubset, advice, at: current.offset)
  }
}
