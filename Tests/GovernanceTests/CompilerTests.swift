import Testing

@testable import Governance

@Suite struct CompilerTests {
  static let now = Timestamp(secondsSinceEpoch: 1_000)

  static func policy(
    _ name: String, _ condition: String, effect: SubscriptionPolicy.Effect = .grant, access: AccessLevel = .read,
    state: SubscriptionPolicy.State = .active, schema: String = "*", expires: Timestamp? = nil
  ) throws -> SubscriptionPolicy {
    SubscriptionPolicy(
      name: name, effect: effect, access: access, state: state, target: PolicyTarget(schema: [try Glob(schema)]),
      condition: try Condition.parse(condition, limits: .merged), expires: expires)
  }

  static func table(_ id: Int64, schema: String, tags: [String] = []) -> TableFacts {
    TableFacts(
      id: SecurableID(rawValue: id), connection: "prod", database: "crm", schema: schema, name: "t\(id)", tags: tags)
  }

  static func user(_ id: Int64, groups: [String]) -> UserFacts {
    UserFacts(id: UserID(rawValue: id), name: "u\(id)", groups: groups)
  }

  let users = [user(1, groups: ["a"]), user(2, groups: ["b"]), user(3, groups: ["a", "b"]), user(4, groups: [])]

  @Test func tablesUnderOneConditionShareAnAudience() throws {
    let policies = [try Self.policy("p", "'a' in user.groups")]
    let tables = (1...3).map { Self.table($0, schema: "s") }
    let audiences = Compiler(policies: policies, now: Self.now).compile(tables: tables, users: users)
    let audience = try #require(audiences.first)
    #expect(audiences.count == 1)
    #expect(audience.tables.map(\.rawValue) == [1, 2, 3])
    #expect(audience.members.map(\.rawValue) == [1, 3])
    #expect(audience.policies == ["p"] && audience.access == .read)
  }

  @Test func policiesThatSayTheSameAboutATableMakeOneAudience() throws {
    let policies = [
      try Self.policy("one", "'a' in user.groups && table.schema == 's'"), try Self.policy("two", "'a' in user.groups"),
    ]
    let audiences = Compiler(policies: policies, now: Self.now).compile(
      tables: [Self.table(1, schema: "s")], users: users)
    #expect(audiences.map(\.condition) == ["\"a\" in user.groups"])
    #expect(audiences.first?.policies == ["one", "two"])
  }

  /// Each table is under about a dozen of them, hardly two under the same dozen.
  @Test func policiesThatOverlapMakeNoAudienceForEachCombination() throws {
    var policies = try (0..<50).map { number in
      SubscriptionPolicy(
        name: "p\(number)", effect: .grant, access: .read,
        target: PolicyTarget(table: [try Glob("*\(number % 10)*"), try Glob("*\(number / 10)\(number % 7)*")]),
        condition: try Condition.parse("'g\(number)' in user.groups"))
    }
    for schema in ["a", "b"] {
      policies.append(
        try Self.policy("guard-\(schema)", "'\(schema)' in user.groups", effect: .guardrail, schema: schema))
    }
    let tables = (1...2_000).map { Self.table($0, schema: ["a", "b", "c"][Int($0) % 3]) }
    let users = (1...50).map { Self.user($0, groups: ["g\($0)", "g\($0 / 2)", $0 % 2 == 0 ? "a" : "b"]) }
    let compiler = Compiler(policies: policies, now: Self.now)
    let audiences = compiler.compile(tables: tables, users: users)
    #expect(audiences.count <= 50 * 3)
    #expect(audiences.allSatisfy { $0.policies.count { $0.hasPrefix("p") } == 1 })
    for table in tables[..<50] {
      let admitted = Set(audiences.filter { $0.tables.contains(table.id) }.flatMap(\.members))
      #expect(admitted == Set(users.filter { compiler.admits($0, table, access: .read) }.map(\.id)))
    }
  }

  @Test func aTableUnderVeryManyPoliciesListsOneAudience() throws {
    let policies = try (0...PolicyFolding.mostTerms).map { try Self.policy("p\($0)", "'g\($0)' in user.groups") }
    let few = Compiler(policies: policies.dropLast(), now: Self.now)
    let many = Compiler(policies: policies, now: Self.now)
    let table = Self.table(1, schema: "s")
    let users = (0...PolicyFolding.mostTerms).map { Self.user(Int64($0), groups: ["g\($0)"]) }
    #expect(few.compile(tables: [table], users: users).count == PolicyFolding.mostTerms)
    let audiences = many.compile(tables: [table], users: users)
    #expect(audiences.map(\.members) == [users.map(\.id)])
    #expect(audiences.first?.policies == policies.map(\.name).sorted())
  }

  @Test func aGuardrailRestrictsWhoeverIsAdmitted() throws {
    let policies = [
      try Self.policy("admit", "'a' in user.groups"),
      try Self.policy("limit", "'b' in user.groups", effect: .guardrail),
    ]
    let compiler = Compiler(policies: policies, now: Self.now)
    let audiences = compiler.compile(tables: [Self.table(1, schema: "s")], users: users)
    #expect(audiences.first?.members.map(\.rawValue) == [3])
    #expect(compiler.passesGuardrails(users[1], Self.table(1, schema: "s"), access: .write))
    #expect(!compiler.passesGuardrails(users[0], Self.table(1, schema: "s"), access: .read))
  }

  @Test func anUndecidedGuardrailDenies() throws {
    let policies = [
      try Self.policy("admit", "true"), try Self.policy("limit", "user.attributes.x == 'y'", effect: .guardrail),
    ]
    let compiler = Compiler(policies: policies, now: Self.now)
    #expect(compiler.compile(tables: [Self.table(1, schema: "s")], users: users).first?.members == [])
    #expect(!compiler.passesGuardrails(users[0], Self.table(1, schema: "s"), access: .read))
  }

  @Test func aGuardrailOnWritingLeavesReadingAlone() throws {
    let policies = [
      try Self.policy("read", "true"), try Self.policy("write", "true", access: .write),
      try Self.policy("limit", "'b' in user.groups", effect: .guardrail, access: .write),
    ]
    let audiences = Compiler(policies: policies, now: Self.now).compile(
      tables: [Self.table(1, schema: "s")], users: users)
    #expect(audiences.map(\.access) == [.read, .write])
    #expect(audiences.map { $0.members.map(\.rawValue) } == [[1, 2, 3, 4], [2, 3]])
  }

  @Test func aGuardrailAloneAdmitsNobody() throws {
    let policies = [try Self.policy("limit", "true", effect: .guardrail)]
    let compiler = Compiler(policies: policies, now: Self.now)
    #expect(compiler.compile(tables: [Self.table(1, schema: "s")], users: users).isEmpty)
  }

  @Test func stagedAndExpiredPoliciesAreNotEnforcedButExplained() throws {
    let policies = [
      try Self.policy("old", "true", expires: Self.now), try Self.policy("soon", "true", state: .staged),
      try Self.policy("elsewhere", "true", schema: "other"),
    ]
    let table = Self.table(1, schema: "s")
    #expect(Compiler(policies: policies, now: Self.now).compile(tables: [table], users: users).isEmpty)
    let shown = Compiler(policies: policies, now: Self.now, states: [.active, .staged])
    #expect(shown.compile(tables: [table], users: users).first?.policies == ["soon"])
    let verdicts = PolicyVerdict.explain(users[0], table, policies: policies, now: Self.now)
    #expect(verdicts.map(\.policy) == ["old", "soon"])
    #expect(verdicts.allSatisfy { $0.outcome == .admitted && !$0.isEnforced })
  }

  @Test func aPolicyThatCanAdmitNobodyToATableMakesNoAudience() throws {
    let policies = [try Self.policy("p", "'pii' in table.tags && 'a' in user.groups")]
    let tables = [Self.table(1, schema: "s"), Self.table(2, schema: "s", tags: ["pii"])]
    let audiences = Compiler(policies: policies, now: Self.now).compile(tables: tables, users: users)
    #expect(audiences.map { $0.tables.map(\.rawValue) } == [[2]])
  }

  /// Audiences are only a form: who may what must be what evaluating every policy for every pair says.
  @Test(arguments: 0..<12 as Range<UInt64>)
  func audiencesAdmitExactlyWhomPoliciesAdmit(seed: UInt64) throws {
    var universe = Universe(seed: seed)
    let (users, tables) = (universe.users(70), universe.tables(8))
    var policies: [SubscriptionPolicy] = []
    for number in 0..<6 {
      let policy = try Self.policy(
        "p\(number)", universe.condition(depth: 3), effect: universe.generator.pick([.grant, .grant, .guardrail]),
        access: universe.generator.pick([.read, .write]), schema: universe.generator.pick(["*", "a", "mark*"]))
      policies.append(policy)
    }
    let compiler = Compiler(policies: policies, now: Self.now)
    var admitted: Set<[Int64]> = []
    for audience in compiler.compile(tables: tables, users: users) {
      for table in audience.tables {
        for user in audience.members {
          admitted.insert([audience.access == .read ? 0 : 1, table.rawValue, user.rawValue])
        }
      }
    }
    for (number, access) in AccessLevel.allCases.enumerated() {
      for table in tables {
        for user in users {
          let isAdmitted = admitted.contains([Int64(number), table.id.rawValue, user.id.rawValue])
          #expect(isAdmitted == compiler.admits(user, table, access: access), "\(access) \(table) \(user)")
        }
      }
    }
  }
}
