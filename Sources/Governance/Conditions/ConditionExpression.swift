/// The tree of a condition.
///
/// `!=` is the negation of `equal`: the two fail on the same operands. Variables of `exists` and `all` are known by
/// how many of these surround them, so their names do not matter.
indirect enum ConditionExpression: Sendable {
  case literal(ConditionValue)
  case list([ConditionExpression])
  case user(UserFact)
  case attribute(String)
  case table(TableFact)
  case variable(level: Int)
  case not(ConditionExpression)
  case and([ConditionExpression])
  case or([ConditionExpression])
  case equal(ConditionExpression, ConditionExpression)
  case member(ConditionExpression, of: ConditionExpression)
  case text(TextTest, of: ConditionExpression, argument: ConditionExpression)
  case matches(ConditionExpression, TextPattern)
  case quantified(Quantifier, over: ConditionExpression, level: Int, ConditionExpression)

  /// Whether it yields a boolean or fails, and nothing else. False where that is not certain.
  var isBoolean: Bool {
    switch self {
    case .not, .and, .or, .equal, .member, .text, .matches, .quantified, .literal(.bool): true
    case .literal, .list, .user, .attribute, .table, .variable: false
    }
  }

  var value: ConditionValue? {
    if case .literal(let value) = self { value } else { nil }
  }

  var children: [ConditionExpression] {
    switch self {
    case .literal, .user, .attribute, .table, .variable: []
    case .not(let operand), .matches(let operand, _): [operand]
    case .list(let operands), .and(let operands), .or(let operands): operands
    case .equal(let left, let right), .member(let left, of: let right): [left, right]
    case .text(_, of: let text, let argument): [text, argument]
    case .quantified(_, over: let list, level: _, let body): [list, body]
    }
  }

  /// How many nodes it has.
  var size: Int { children.reduce(1) { $0 + $1.size } }
}

enum UserFact: String, Sendable, Hashable, CaseIterable { case name, email, groups }
enum TableFact: String, Sendable, Hashable, CaseIterable { case connection, database, schema, name, tags }
enum TextTest: String, Sendable, Hashable, CaseIterable { case startsWith, endsWith, contains }
enum Quantifier: String, Sendable, Hashable, CaseIterable { case exists, all }
