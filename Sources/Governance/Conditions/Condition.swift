/// The boolean expression of a policy, in Sluice's subset of CEL.
package struct Condition: Sendable, Hashable, CustomStringConvertible {
  /// What a condition says about a user and a table. Only `admitted` admits.
  package enum Outcome: Sendable, Hashable {
    case admitted
    case refused
    /// CEL's error, for example an attribute that the user does not have.
    case undecided(String)
  }

  /// As it was written.
  package let source: String
  /// The form that stands for all spellings of this condition; CEL in ASCII. Conditions with the same form admit the
  /// same users to the same tables; it is the identity of an audience.
  package let canonical: String
  let expression: ConditionExpression

  /// Reads what a person wrote.
  ///
  /// - Throws: where and why it is not in the subset, or that it is longer than 16 KiB or deeper than 64 levels.
  package static func parse(_ text: String) throws(ConditionError) -> Condition {
    try parse(text, limits: .authored)
  }

  /// Reads with other limits, `.merged` for a canonical form that was kept.
  package static func parse(_ text: String, limits: ConditionLimits) throws(ConditionError) -> Condition {
    let expression = try ConditionParser.parse(text, limits: limits)
    var simplifier = ConditionSimplifier(table: nil)
    return Condition(source: text, canonical: simplifier.simplify(expression).text, expression: expression)
  }

  private init(source: String, canonical: String, expression: ConditionExpression) {
    self.source = source
    self.canonical = canonical
    self.expression = expression
  }

  /// A condition in canonical form.
  private init(simple expression: ConditionExpression) {
    let text = expression.text
    self.init(source: text, canonical: text, expression: expression)
  }

  package var description: String { source }

  package func evaluate(user: UserFacts, table: TableFacts) -> Outcome {
    do {
      return try ConditionEvaluator(user: user, table: table).truth(of: expression) ? .admitted : .refused
    } catch {
      return .undecided(error.reason)
    }
  }

  /// What is left for that table: a condition about users alone, in canonical form.
  package func partialEvaluation(table: TableFacts) -> Condition {
    var simplifier = ConditionSimplifier(table: table)
    return Condition(simple: simplifier.simplify(expression))
  }

  /// Whether nobody at all can be admitted.
  package var admitsNobody: Bool { canonical == "false" }

  package static let always = Condition(simple: .literal(.bool(true)))

  /// True where any is; nobody is admitted by none.
  package static func any(of conditions: [Condition]) -> Condition { merged(.or(conditions.map(\.expression))) }

  /// True where all are.
  package static func all(of conditions: [Condition]) -> Condition { merged(.and(conditions.map(\.expression))) }

  private static func merged(_ expression: ConditionExpression) -> Condition {
    var simplifier = ConditionSimplifier(table: nil)
    return Condition(simple: simplifier.simplify(expression))
  }

  package static func == (left: Condition, right: Condition) -> Bool { left.canonical == right.canonical }
  package func hash(into hasher: inout Hasher) { hasher.combine(canonical) }
}
