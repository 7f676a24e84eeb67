import Testing

@testable import Governance

@Suite struct PolicyDocumentTests {
  static func node(_ value: PolicyNode.Value, _ line: Int = 1, _ column: Int = 1) -> PolicyNode {
    PolicyNode(value, at: TextPosition(line: line, column: column))
  }

  /// A map whose fields stand on lines of their own, from the first line on.
  static func map(_ fields: [(String, PolicyNode.Value)]) -> PolicyNode {
    let entries = fields.enumerated().map { line, field in
      PolicyNode.Entry(
        key: field.0, position: TextPosition(line: line + 1, column: 1), node: node(field.1, line + 1, 20))
    }
    return node(.map(entries))
  }

  static let target = map([("schema", .list([node(.string("marketing")), node(.string("research"))]))]).value
  static let fields: [(String, PolicyNode.Value)] = [
    ("apiVersion", .string("sluice/v1")), ("kind", .string("SubscriptionPolicy")), ("name", .string("analysts-read")),
    ("effect", .string("grant")), ("access", .string("read")), ("target", target),
    ("condition", .string("'analysts' in user.groups")), ("expires", .string("2027-01-01T00:00:00Z")),
  ]

  static func document(_ key: String, _ value: PolicyNode.Value?) -> PolicyNode {
    map(
      fields.compactMap { $0.0 == key ? value.map { (key, $0) } : $0 }
        + (fields.contains { $0.0 == key } ? [] : value.map { [(key, $0)] } ?? []))
  }

  @Test func aCompleteDocumentIsRead() throws {
    let policy = try SubscriptionPolicy(document: Self.map(Self.fields))
    #expect(policy.name == "analysts-read" && policy.effect == .grant && policy.access == .read)
    #expect(policy.state == .active && policy.target.schema.map(\.pattern) == ["marketing", "research"])
    #expect(policy.expires?.description == "2027-01-01T00:00:00Z")
    #expect(policy.condition.canonical == "\"analysts\" in user.groups")
  }

  @Test(
    arguments: [
      ("apiVersion", .string("v2"), "line 1, column 20: apiVersion: is \"v2\"; only \"sluice/v1\" is known"),
      ("kind", .int(1), "line 2, column 20: kind: expected text, found a number; put it in quotes"),
      ("name", nil, "line 1, column 1: name: is missing"),
      (
        "name", .string("a b"),
        "line 3, column 20: name: \"a b\" is not a name; it takes 1 to 128 letters, digits, \".\", \"_\" and \"-\""
      ),
      ("effect", .string("deny"), "line 4, column 20: effect: \"deny\" is not one of grant, guardrail"),
      ("access", nil, "line 1, column 1: access: is missing"),
      (
        "condition", .string("true &&"),
        "line 7, column 20: condition: in the expression, line 1, column 8: expected an expression after \"&&\""
      ),
      (
        "expires", .string("2027-01-01"),
        "line 8, column 20: expires: \"2027-01-01\" is not an instant; write it as 2027-01-01T00:00:00Z"
      ),
      ("expires", .null, "line 8, column 20: expires: expected text, found nothing"),
      ("target", .list([]), "line 6, column 20: target: expected a map, found a list"),
      (
        "target", .map([]),
        "line 6, column 20: target: names nothing; write connection: \"*\" to mean every data source"
      ),
      (
        "owner", .string("x"),
        "line 9, column 1: owner: is not known here; known are apiVersion, kind, name, effect, access, state, target, condition, expires"
      ),
    ] as [(String, PolicyNode.Value?, String)])
  func aFaultIsNamedWithItsPlaceAndField(_ key: String, _ value: PolicyNode.Value?, _ expected: String) {
    let error = #expect(throws: PolicyError.self) { try SubscriptionPolicy(document: Self.document(key, value)) }
    #expect(error?.description == expected)
  }

  @Test func allFaultsAreReportedAtOnce() {
    let target = Self.map([("schema", .list([Self.node(.int(3))])), ("colour", .string("red")), ("table", .list([]))])
    let document = Self.map([
      ("apiVersion", .string("x")), ("name", .bool(true)), ("name", .null), ("target", target.value),
    ])
    let error = #expect(throws: PolicyError.self) { try SubscriptionPolicy(document: document) }
    let paths = Set(error?.faults.map(\.path) ?? [])
    let expected: Set = [
      "apiVersion", "kind", "name", "effect", "access", "target.schema[0]", "target.colour", "target.table",
      "condition",
    ]
    #expect(paths == expected)
  }

  @Test func aDocumentThatIsNoMapIsRefused() {
    let error = #expect(throws: PolicyError.self) { try SubscriptionPolicy(document: Self.node(.string("x"))) }
    #expect(error?.description == "line 1, column 1: expected a map, found text")
  }

  @Test func aGuardrailWithoutAccessRestrictsAllAccess() throws {
    let fields = Self.fields.filter { $0.0 != "access" }.map {
      $0.0 == "effect" ? ("effect", .string("guardrail")) : $0
    }
    let policy = try SubscriptionPolicy(document: Self.map(fields))
    #expect(policy.access == .read && policy.concerns(.read) && policy.concerns(.write))
  }

  @Test func theSameDocumentInAnotherOrderHasTheSameText() throws {
    let reversed = Self.fields.reversed().map { key, value -> (String, PolicyNode.Value) in
      guard key == "target" else { return (key, value) }
      let schemas = ["research", "marketing", "research"].map { Self.node(.string($0)) }
      return (key, Self.map([("schema", .list(schemas))]).value)
    }
    let first = try SubscriptionPolicy(document: Self.map(Self.fields))
    #expect(try SubscriptionPolicy(document: Self.map(reversed)).document == first.document)
    #expect(first.document.contains("schema: [\"marketing\", \"research\"]"))
  }

  @Test func anExpiryCountsFromItsInstantOn() throws {
    let policy = try SubscriptionPolicy(document: Self.map(Self.fields))
    let expiry = try #require(policy.expires)
    #expect(policy.isExpired(at: expiry))
    #expect(!policy.isExpired(at: Timestamp(microsecondsSinceEpoch: expiry.microseconds - 1)))
  }
}
