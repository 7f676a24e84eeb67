import Governance
import RandomTestKit

/// Small worlds of users, tables and conditions, made from a seed.
struct Universe {
  var generator: SeededGenerator

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  static let groups = ["a", "b", "c"]
  static let tags = ["a", "b", "pii"]

  mutating func users(_ count: Int) -> [UserFacts] {
    (1...count).map { number in
      var attributes: [String: [String]] = [:]
      for key in ["region", "level"] { attributes[key] = generator.subset(["emea", "a", "b"]) }
      return UserFacts(
        id: UserID(rawValue: Int64(number)), name: generator.pick(["ana", "ben", "a"]),
        email: Bool.random(using: &generator) ? "ana@example.org" : nil, groups: generator.subset(Self.groups),
        attributes: attributes)
    }
  }

  mutating func tables(_ count: Int) -> [TableFacts] {
    (1...count).map { number in
      TableFacts(
        id: SecurableID(rawValue: Int64(number)), connection: generator.pick(["prod", "test"]),
        database: generator.pick(["crm", "erp"]), schema: generator.pick(["marketing", "a"]),
        name: generator.pick(["orders", "a", "b"]), tags: generator.subset(Self.tags))
    }
  }

  /// A boolean expression in CEL of at most that depth.
  mutating func condition(depth: Int, variable: String? = nil) -> String {
    if depth == 0 { return leaf(variable) }
    let deeper = depth - 1
    switch Int.random(in: 0..<9, using: &generator) {
    case 0, 1:
      return "(\(condition(depth: deeper, variable: variable)) && \(condition(depth: deeper, variable: variable)))"
    case 2, 3:
      return "(\(condition(depth: deeper, variable: variable)) || \(condition(depth: deeper, variable: variable)))"
    case 4: return "!(\(condition(depth: deeper, variable: variable)))"
    case 5:
      let sides = (condition(depth: deeper, variable: variable), condition(depth: deeper, variable: variable))
      return "((\(sides.0)) \(generator.pick(["==", "!="])) (\(sides.1)))"
    case 6 where variable == nil || variable == "x":
      let name = variable == nil ? "x" : "y"
      let quantifier = generator.pick(["exists", "all"])
      return "\(list()).\(quantifier)(\(name), \(condition(depth: deeper, variable: name)))"
    default: return leaf(variable)
    }
  }

  private mutating func leaf(_ variable: String?) -> String {
    switch Int.random(in: 0..<7, using: &generator) {
    case 0: return generator.pick(["true", "false"])
    case 1, 2: return "\(text(variable)) in \(list())"
    case 3: return "\(text(variable)) \(generator.pick(["==", "!="])) \(text(variable))"
    case 4: return "\(text(variable)).\(generator.pick(["startsWith", "endsWith", "contains"]))(\(text(variable)))"
    case 5: return "\(text(variable)).matches(\(generator.pick(["\"^a\"", "\"[ab]$\"", "r'e|z'"])))"
    default: return "user.attributes.region == [\"a\", \"b\"]"
    }
  }

  private mutating func text(_ variable: String?) -> String {
    let texts = [
      "\"a\"", "\"emea\"", "user.name", "user.email", "user.attributes.region", "table.name", "table.schema",
    ]
    return generator.pick(texts + (variable.map { [$0, $0, $0] } ?? []))
  }

  private mutating func list() -> String {
    generator.pick([
      "[\"a\"]", "[\"b\", \"a\", \"b\"]", "[]", "user.groups", "table.tags", "user.attributes.level",
      "[user.name, \"b\"]",
    ])
  }
}
