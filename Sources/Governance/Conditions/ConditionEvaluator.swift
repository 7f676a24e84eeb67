/// Why an expression has no value: CEL's error.
struct EvaluationFailure: Error, Sendable, Hashable {
  let reason: String
}

/// Computes an expression by CEL's rules: an error spreads, except where the other operand of `&&` or `||` decides.
struct ConditionEvaluator {
  let user: UserFacts?
  let table: TableFacts?
  private var variables: [ConditionValue] = []

  init(user: UserFacts?, table: TableFacts?) {
    self.user = user
    self.table = table
  }

  func value(of expression: ConditionExpression) throws(EvaluationFailure) -> ConditionValue {
    switch expression {
    case .literal(let value): return value
    case .list(let elements):
      var values: [ConditionValue] = []
      for element in elements { values.append(try value(of: element)) }
      return .list(values)
    case .user(let fact): return try value(of: fact)
    case .attribute(let key): return try attribute(key)
    case .table(let fact): return try value(of: fact)
    case .variable(let level): return variables[level]
    default: return .bool(try truth(of: expression))
    }
  }

  /// The value of an expression that stands where a boolean is needed.
  func truth(of expression: ConditionExpression) throws(EvaluationFailure) -> Bool {
    switch expression {
    case .not(let operand): return try !truth(of: operand)
    case .and(let operands):
      return try decide(operands, decisive: false) { (operand) throws(EvaluationFailure) in try truth(of: operand) }
    case .or(let operands):
      return try decide(operands, decisive: true) { (operand) throws(EvaluationFailure) in try truth(of: operand) }
    case .equal(let left, let right): return try value(of: left) == value(of: right)
    case .member(let element, of: let list):
      let element = try value(of: element)
      return try elements(of: list).contains(element)
    case .text(let test, of: let text, let argument):
      return test.holds(try string(of: text), try string(of: argument))
    case .matches(let text, let pattern): return try matches(try string(of: text), pattern)
    case .quantified(let quantifier, over: let list, level: _, let body):
      return try decide(try elements(of: list), decisive: quantifier == .exists) {
        (element) throws(EvaluationFailure) in try binding(element).truth(of: body)
      }
    default:
      let value = try value(of: expression)
      guard case .bool(let truth) = value else {
        throw EvaluationFailure(reason: "\(expression.text) is \(value.typeName), not a boolean")
      }
      return truth
    }
  }

  /// One decisive operand settles the matter, whatever the others fail with; else the first failure does.
  private func decide<Operand>(
    _ operands: [Operand], decisive: Bool, _ truth: (Operand) throws(EvaluationFailure) -> Bool
  ) throws(EvaluationFailure) -> Bool {
    var failure: EvaluationFailure?
    for operand in operands {
      do {
        if try truth(operand) == decisive { return decisive }
      } catch {
        failure = failure ?? error
      }
    }
    if let failure { throw failure }
    return !decisive
  }

  private func binding(_ element: ConditionValue) -> ConditionEvaluator {
    var inner = self
    inner.variables.append(element)
    return inner
  }

  private func matches(_ text: String, _ pattern: TextPattern) throws(EvaluationFailure) -> Bool {
    guard text.utf8.count <= TextPattern.maximumTextLength else {
      throw EvaluationFailure(reason: "a text longer than \(TextPattern.maximumTextLength) bytes is not matched")
    }
    return pattern.isFound(in: text)
  }

  private func string(of expression: ConditionExpression) throws(EvaluationFailure) -> String {
    let value = try value(of: expression)
    guard case .string(let text) = value else {
      throw EvaluationFailure(reason: "\(expression.text) is \(value.typeName), not a string")
    }
    return text
  }

  private func elements(of expression: ConditionExpression) throws(EvaluationFailure) -> [ConditionValue] {
    let value = try value(of: expression)
    guard case .list(let elements) = value else {
      throw EvaluationFailure(reason: "\(expression.text) is \(value.typeName), not a list")
    }
    return elements
  }
}

extension ConditionEvaluator {
  private func value(of fact: UserFact) throws(EvaluationFailure) -> ConditionValue {
    guard let user else { throw EvaluationFailure(reason: "there is no user") }
    switch fact {
    case .name: return .string(user.name)
    case .groups: return .texts(user.groups)
    case .email:
      guard let email = user.email else { throw EvaluationFailure(reason: "the user has no email address") }
      return .string(email)
    }
  }

  private func attribute(_ key: String) throws(EvaluationFailure) -> ConditionValue {
    guard let values = user?.attributes[key], let first = values.first else {
      throw EvaluationFailure(reason: "the user has no attribute \"\(key)\"")
    }
    return values.count == 1 ? .string(first) : .texts(values)
  }

  private func value(of fact: TableFact) throws(EvaluationFailure) -> ConditionValue {
    guard let table else { throw EvaluationFailure(reason: "there is no table") }
    return table.value(of: fact)
  }
}

extension TableFacts {
  func value(of fact: TableFact) -> ConditionValue {
    switch fact {
    case .connection: .string(connection)
    case .database: .string(database)
    case .schema: .string(schema)
    case .name: .string(name)
    case .tags: .texts(tags)
    }
  }
}

extension TextTest {
  /// By code points, as CEL compares; Swift's own methods take "é" and "e" with an accent for equal.
  func holds(_ text: String, _ argument: String) -> Bool {
    let (text, argument) = (Array(text.utf8), Array(argument.utf8))
    guard argument.count <= text.count else { return false }
    return switch self {
    case .startsWith: text.starts(with: argument)
    case .endsWith: text.suffix(argument.count).elementsEqual(argument)
    case .contains:
      (0...(text.count - argument.count)).contains { text[$0...].starts(with: argument) }
    }
  }
}
