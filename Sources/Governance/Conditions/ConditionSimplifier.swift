/// Brings an expression into the form that stands for all its spellings, without changing for anyone whether it is
/// true, false or fails.
///
/// What it does: facts of a given table and constants are put in and computed; operands of `&&` and `||` are
/// flattened, sorted, and stand once; `exists` and `all` over a constant list become `||` and `&&`; a one-element `in`
/// becomes `==`. What it must not do: turn `x && !x` into false (it fails if x fails), or `x && x` into x where x might
/// be no boolean.
struct ConditionSimplifier {
  /// Nodes that unrolling `exists` and `all` over constant lists may add up to; beyond it they stay as they are.
  static let maximumUnrolledSize = 4_096

  let table: TableFacts?
  private var unrolledSize = 0

  init(table: TableFacts?) { self.table = table }

  mutating func simplify(_ expression: ConditionExpression) -> ConditionExpression {
    switch expression {
    case .literal, .user, .attribute, .variable: return expression
    case .table(let fact): return table.map { .literal($0.value(of: fact)) } ?? expression
    case .list(let elements): return simplifyList(elements)
    case .not(let operand): return simplifyNegation(simplify(operand))
    case .and(let operands): return simplifyChain(operands, neutral: true)
    case .or(let operands): return simplifyChain(operands, neutral: false)
    case .equal(let left, let right):
      let sides = [simplify(left), simplify(right)].map { (text: $0.text, side: $0) }.sorted { $0.text < $1.text }
      return computed(.equal(sides[0].side, sides[1].side))
    case .member(let element, of: let list): return simplifyMembership(simplify(element), simplify(list))
    case .text(let test, of: let text, let argument):
      return computed(.text(test, of: simplify(text), argument: simplify(argument)))
    case .matches(let text, let pattern): return computed(.matches(simplify(text), pattern))
    case .quantified(let quantifier, over: let list, let level, let body):
      return simplifyQuantifier(quantifier, simplify(list), level, body)
    }
  }

  /// The value, if it is one of constants. One that fails stays as it stands, and so goes on failing.
  private func computed(_ expression: ConditionExpression) -> ConditionExpression {
    guard expression.children.allSatisfy({ $0.value != nil }) else { return expression }
    do { return .literal(try ConditionEvaluator(user: nil, table: nil).value(of: expression)) } catch {
      return expression
    }
  }

  private mutating func simplifyList(_ elements: [ConditionExpression]) -> ConditionExpression {
    var simple: [ConditionExpression] = []
    for element in elements { simple.append(simplify(element)) }
    let values = simple.compactMap(\.value)
    return values.count == simple.count ? .literal(.list(values)) : .list(simple)
  }

  private func simplifyNegation(_ operand: ConditionExpression) -> ConditionExpression {
    switch operand {
    case .literal(.bool(let truth)): .literal(.bool(!truth))
    case .not(let inner) where inner.isBoolean: inner
    default: .not(operand)
    }
  }

  private func simplifyMembership(
    _ element: ConditionExpression, _ list: ConditionExpression
  ) -> ConditionExpression {
    guard case .literal(.list(let values)) = list else { return .member(element, of: list) }
    let sorted = Dictionary(values.map { ($0.text, $0) }) { first, _ in first }.sorted { $0.key < $1.key }
    if sorted.count == 1 { return simplifyEquality(element, .literal(sorted[0].value)) }
    return computed(.member(element, of: .literal(.list(sorted.map(\.value)))))
  }

  private func simplifyEquality(_ left: ConditionExpression, _ right: ConditionExpression) -> ConditionExpression {
    computed(left.text <= right.text ? .equal(left, right) : .equal(right, left))
  }

  private mutating func simplifyChain(_ operands: [ConditionExpression], neutral: Bool) -> ConditionExpression {
    var byText: [String: ConditionExpression] = [:]
    for operand in operands {
      for part in (simplify(operand)).operands(neutral: neutral) {
        if case .literal(.bool(let truth)) = part {
          if truth != neutral { return part }
        } else {
          byText[part.text] = part
        }
      }
    }
    let sorted = byText.sorted { $0.key < $1.key }.map(\.value)
    if sorted.isEmpty { return .literal(.bool(neutral)) }
    if sorted.count == 1, sorted[0].isBoolean { return sorted[0] }
    return neutral ? .and(sorted) : .or(sorted)
  }

  private mutating func simplifyQuantifier(
    _ quantifier: Quantifier, _ list: ConditionExpression, _ level: Int, _ body: ConditionExpression
  ) -> ConditionExpression {
    if case .literal(.list(let elements)) = list {
      let size = body.size * elements.count
      if unrolledSize + size <= Self.maximumUnrolledSize {
        unrolledSize += size
        let bodies = elements.map { body.replacing(variable: level, with: $0) }
        return simplifyChain(bodies, neutral: quantifier == .all)
      }
    }
    return .quantified(quantifier, over: list, level: level, simplify(body))
  }
}

extension ConditionExpression {
  /// The operands of a conjunction (neutral: true) or disjunction (neutral: false); itself if it is neither.
  fileprivate func operands(neutral: Bool) -> [ConditionExpression] {
    switch (self, neutral) {
    case (.and(let operands), true), (.or(let operands), false): operands
    default: [self]
    }
  }

  /// Puts a value in for a variable; the variables inside of it move one level out.
  fileprivate func replacing(variable level: Int, with value: ConditionValue) -> ConditionExpression {
    func replaced(_ expression: ConditionExpression) -> ConditionExpression {
      expression.replacing(variable: level, with: value)
    }
    switch self {
    case .literal, .user, .attribute, .table: return self
    case .variable(let own):
      return own == level ? .literal(value) : .variable(level: own > level ? own - 1 : own)
    case .list(let elements): return .list(elements.map(replaced))
    case .not(let operand): return .not(replaced(operand))
    case .and(let operands): return .and(operands.map(replaced))
    case .or(let operands): return .or(operands.map(replaced))
    case .equal(let left, let right): return .equal(replaced(left), replaced(right))
    case .member(let element, of: let list): return .member(replaced(element), of: replaced(list))
    case .text(let test, of: let text, let argument):
      return .text(test, of: replaced(text), argument: replaced(argument))
    case .matches(let text, let pattern): return .matches(replaced(text), pattern)
    case .quantified(let quantifier, over: let list, level: let own, let body):
      return .quantified(quantifier, over: replaced(list), level: own > level ? own - 1 : own, replaced(body))
    }
  }
}
