extension ConditionExpression {
  /// CEL that parses to this expression again, in ASCII: equal texts are equal code point by code point.
  var text: String { text(within: .or, variables: 0) }

  /// How tightly an operator binds; an operand that binds less needs parentheses.
  private enum Binding: Int { case or, and, relation, unary, member }

  private var binding: Binding {
    switch self {
    case .or: .or
    case .and: .and
    case .equal, .member, .not(.equal): .relation
    case .not: .unary
    default: .member
    }
  }

  private func text(within outer: Binding, variables: Int) -> String {
    let text = unbound(variables)
    return binding.rawValue < outer.rawValue ? "(\(text))" : text
  }

  private func unbound(_ variables: Int) -> String {
    func operand(_ operand: ConditionExpression, _ outer: Binding = .unary) -> String {
      operand.text(within: outer, variables: variables)
    }
    switch self {
    case .literal(let value): return value.text
    case .list(let elements): return "[\(elements.map { operand($0, .or) }.joined(separator: ", "))]"
    case .user(let fact): return "user.\(fact)"
    case .attribute(let key): return "user.attributes" + Self.selection(of: key)
    case .table(let fact): return "table.\(fact)"
    case .variable(let level): return "v\(level + 1)"
    case .not(.equal(let left, let right)): return "\(operand(left)) != \(operand(right))"
    case .not(let inner): return "!\(operand(inner))"
    case .and(let operands): return Self.chain(operands.map { operand($0, .relation) }, "&&", neutral: "true")
    case .or(let operands): return Self.chain(operands.map { operand($0, .and) }, "||", neutral: "false")
    case .equal(let left, let right): return "\(operand(left)) == \(operand(right))"
    case .member(let element, of: let list): return "\(operand(element)) in \(operand(list))"
    case .text(let test, of: let text, let argument):
      return "\(operand(text, .member)).\(test)(\(operand(argument, .or)))"
    case .matches(let text, let pattern):
      return "\(operand(text, .member)).matches(\(ConditionValue.string(pattern.source).text))"
    case .quantified(let quantifier, over: let list, level: _, let body):
      let inside = body.text(within: .or, variables: variables + 1)
      return "\(operand(list, .member)).\(quantifier)(v\(variables + 1), \(inside))"
    }
  }

  /// One operand alone is kept with the neutral constant: the operator also makes sure that it is a boolean.
  private static func chain(_ operands: [String], _ symbol: String, neutral: String) -> String {
    switch operands.count {
    case 0: neutral
    case 1: "\(operands[0]) \(symbol) \(neutral)"
    default: operands.joined(separator: " \(symbol) ")
    }
  }

  private static func selection(of key: String) -> String {
    let scalars = key.unicodeScalars
    let isWord = scalars.first?.isWordStart == true && scalars.allSatisfy { $0.isWordStart || $0.isDigit }
    return isWord && !ConditionToken.keywords.contains(key) ? ".\(key)" : "[\(ConditionValue.string(key).text)]"
  }
}

extension ConditionValue {
  /// The literal, with everything outside of printable ASCII escaped.
  var text: String {
    switch self {
    case .bool(let truth): "\(truth)"
    case .int(let number): "\(number)"
    case .list(let elements): "[\(elements.map(\.text).joined(separator: ", "))]"
    case .string(let text): "\"\(text.unicodeScalars.map(Self.escaped).joined())\""
    }
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\"": return "\\\""
    case "\\": return "\\\\"
    case "\n": return "\\n"
    case "\t": return "\\t"
    case " "..."~": return String(scalar)
    default:
      let digits = String(scalar.value, radix: 16, uppercase: true)
      let width = scalar.value > 0xFFFF ? 8 : 4
      return (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - digits.count) + digits
    }
  }
}
