import Testing

@testable import Governance

@Suite struct CanonicalFormTests {
  @Test(arguments: [
    ("'b' in user.groups && 'a' in user.groups", #""a" in user.groups && "b" in user.groups"#),
    ("user.name == 'a' || 'a' == user.name", #""a" == user.name"#),
    ("!(user.name != 'a')", #""a" == user.name"#),
    ("!(user.name == 'a')", #""a" != user.name"#),
    ("user.name in ['b', 'a', 'b']", #"user.name in ["a", "b"]"#),
    ("user.name in ['a']", #""a" == user.name"#),
    ("('a' in user.groups || false) && true", #""a" in user.groups"#),
    ("'a' == 'b' || 1 == 1", "true"),
    ("user.email == 'x' && false", "false"),
    ("user.email == 'x' || !(user.email == 'x')", #""x" != user.email || "x" == user.email"#),
    ("['a', 'b'].exists(t, t in user.groups)", #""a" in user.groups || "b" in user.groups"#),
    ("['a'].exists(x, user.groups.exists(y, y == x))", #"user.groups.exists(v1, "a" == v1)"#),
    ("user.groups.exists(g, g.startsWith('é'))", #"user.groups.exists(v1, v1.startsWith("\u00E9"))"#),
    ("user.attributes['two words'] == '\"\\n'", #""\"\n" == user.attributes["two words"]"#),
    (
      "user.name == 'a' && (user.name == 'b' || user.name == 'c')",
      #""a" == user.name && ("b" == user.name || "c" == user.name)"#
    ),
  ])
  func spellingsOfOneConditionHaveOneForm(_ text: String, _ canonical: String) throws {
    #expect(try Condition.parse(text).canonical == canonical)
  }

  @Test func textsThatOnlyLookAlikeKeepDifferentForms() throws {
    let composed = try Condition.parse("'\u{E9}' in user.groups")
    let decomposed = try Condition.parse("'e\u{301}' in user.groups")
    #expect(composed.canonical != decomposed.canonical)
  }

  @Test func theFactsOfATableAreFoldedAway() throws {
    let table = TableFacts(
      id: SecurableID(rawValue: 1), connection: "prod", database: "crm", schema: "s", name: "t", tags: ["b", "a"])
    let condition = try Condition.parse("table.connection == 'prod' && table.tags.all(t, t in user.groups)")
    let folded = condition.partialEvaluation(table: table)
    #expect(folded.canonical == #""a" in user.groups && "b" in user.groups"#)
    #expect(!folded.references.asksForTable)
  }

  @Test func aLongConstantListStaysAQuantifier() throws {
    let list = (0..<3_000).map { "'\($0)'" }.joined(separator: ",")
    let text = "[\(list)].exists(t, t in user.groups)"
    let condition = try Condition.parse(text, limits: .merged)
    #expect(condition.canonical.contains(".exists(v1"))
  }

  /// The whole claim: for every user and table, true stays true, false stays false, and an error stays an error.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func noFormChangesWhatAConditionMeans(seed: UInt64) throws {
    var universe = Universe(seed: seed)
    let (users, tables) = (universe.users(12), universe.tables(4))
    for _ in 0..<25 {
      let text = universe.condition(depth: 4)
      let condition = try Condition.parse(text, limits: .merged)
      let canonical = try Condition.parse(condition.canonical, limits: .merged)
      #expect(canonical.canonical == condition.canonical, "canonical form of \(text)")
      for table in tables {
        let folded = condition.partialEvaluation(table: table)
        let reread = try Condition.parse(folded.canonical, limits: .merged)
        for user in users {
          let outcome = condition.evaluate(user: user, table: table).kind
          #expect(canonical.evaluate(user: user, table: table).kind == outcome, "canonical form of \(text)")
          #expect(folded.evaluate(user: user, table: table).kind == outcome, "\(text) folded")
          #expect(reread.evaluate(user: user, table: table).kind == outcome, "\(text) folded and read again")
        }
      }
    }
  }

  @Test(arguments: 100..<110 as Range<UInt64>)
  func mergingAdmitsExactlyWhomAllAndAnyWould(seed: UInt64) throws {
    var universe = Universe(seed: seed)
    let (users, tables) = (universe.users(20), universe.tables(2))
    let conditions = try (0..<3).map { _ in try Condition.parse(universe.condition(depth: 3), limits: .merged) }
    for table in tables {
      for user in users {
        let admitted = conditions.map { $0.evaluate(user: user, table: table) == .admitted }
        let any = Condition.any(of: conditions).evaluate(user: user, table: table)
        let all = Condition.all(of: conditions).evaluate(user: user, table: table)
        #expect((any == .admitted) == admitted.contains(true))
        #expect((all == .admitted) == admitted.allSatisfy(\.self))
      }
    }
  }
}

extension Condition.Outcome {
  /// Without the reason of an error, which may be another one of several.
  var kind: String {
    switch self {
    case .admitted: "admitted"
    case .refused: "refused"
    case .undecided: "undecided"
    }
  }
}
