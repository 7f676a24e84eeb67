import RandomTestKit
import Testing

@testable import Governance

@Suite struct AccessFormTests {
  static func audience(_ name: String, members: Range<Int64>, tables: Range<Int64>) -> CompiledAudience {
    CompiledAudience(
      key: AudienceKey(access: .read, condition: name), policies: [name], members: members.map(UserID.init),
      tables: tables.map(SecurableID.init))
  }

  static func choose(
    _ audiences: [CompiledAudience], present: [AudienceKey: AccessForm] = [:],
    subscribed: [SecurableID: Set<UserID>] = [:], roles: Int = 100
  ) -> [AccessForm] {
    FormChoice(audiences, present: present, subscribed: subscribed, limits: FormLimits(roleBudget: roles)).forms
  }

  @Test(arguments: [
    (1, 1, AccessForm.direct), (1, 8, .direct), (8, 1, .direct), (2, 2, .audience), (1, 9, .audience),
    (9, 1, .audience), (0, 8, .direct), (0, 9, .audience),
  ])
  func fewMembersAndTablesNeedNoRole(members: Int64, tables: Int64, form: AccessForm) {
    #expect(Self.choose([Self.audience("a", members: 0..<members, tables: 0..<tables)]) == [form])
  }

  @Test(arguments: [
    (1, 2, AccessForm.audience, AccessForm.audience), (1, 1, .audience, .direct), (2, 2, .direct, .direct),
    (1, 16, .direct, .direct), (1, 17, .direct, .audience), (5, 5, .direct, .audience), (1, 1, .unplaced, .direct),
    (3, 3, .joining, .audience),
  ])
  func whatStandsIsKeptUntilTheOtherIsMuchBetter(
    members: Int64, tables: Int64, present: AccessForm, form: AccessForm
  ) {
    let audience = Self.audience("a", members: 0..<members, tables: 0..<tables)
    #expect(Self.choose([audience], present: [audience.key: present]) == [form])
  }

  @Test func thoseThatAdmitMostHaveTheRolesAndTheOthersAreDirect() {
    let audiences = [
      Self.audience("few", members: 0..<3, tables: 0..<10), Self.audience("many", members: 0..<20, tables: 0..<20),
      Self.audience("more", members: 0..<30, tables: 0..<30),
    ]
    #expect(Self.choose(audiences, roles: 2) == [.direct, .audience, .audience])
    #expect(Self.choose(audiences, roles: 0) == [.direct, .direct, .direct])
  }

  @Test func aRoleThatIsThereIsKeptBeforeOneOfAboutTheSameWorth() {
    let audiences = [
      Self.audience("old", members: 0..<300, tables: 0..<10), Self.audience("new", members: 0..<400, tables: 0..<10),
    ]
    #expect(Self.choose(audiences, roles: 1) == [.unplaced, .audience])
    #expect(Self.choose(audiences, present: [audiences[0].key: .audience], roles: 1) == [.audience, .unplaced])
  }

  @Test func aTableHasNoMoreDirectGranteesThanTheBound() {
    let audiences = (0..<40).map { number in
      Self.audience("a\(100 + number)", members: Int64(number * 8)..<Int64(number * 8 + 8), tables: 0..<1)
    }
    let subscribed = [SecurableID(rawValue: 0): Set((1000..<1040).map { UserID(rawValue: $0) })]
    let forms = Self.choose(audiences, subscribed: subscribed, roles: 10)
    #expect(forms.count { $0 == .direct } * 8 + 40 == 200)
    #expect(forms.count { $0 == .audience } == 10)
    #expect(forms.count { $0 == .unplaced } == 10)
  }

  /// Random audiences: the bounds hold, and the choice is its own answer.
  @Test(arguments: 0..<40 as Range<UInt64>)
  func theChoiceKeepsTheBoundsAndDoesNotFlap(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let sizes: [Int64] = [0, 1, 1, 2, 3, 8, 9, 16, 40, 250]
    let audiences = (0..<30).map { number in
      let members = Int64.random(in: 0..<50, using: &generator)
      let tables = Int64.random(in: 0..<20, using: &generator)
      return Self.audience(
        "a\(100 + number)", members: members..<members + generator.pick(sizes),
        tables: tables..<tables + max(1, generator.pick(sizes)))
    }
    let present = Dictionary(
      uniqueKeysWithValues: audiences.map { ($0.key, generator.pick(AccessForm.allCases)) })
    let limits = FormLimits(roleBudget: Int.random(in: 0..<20, using: &generator))
    let subscribed = Dictionary(
      uniqueKeysWithValues: (0..<10).map { table in
        (SecurableID(rawValue: table), Set((500..<500 + generator.pick(sizes)).map { UserID(rawValue: $0) }))
      })
    var choice = FormChoice(audiences, present: present, subscribed: subscribed, limits: limits)
    #expect(choice.forms.count { $0.hasRole } <= limits.roleBudget)
    var grantees = subscribed
    for (audience, form) in zip(audiences, choice.forms) where form == .direct && !audience.members.isEmpty {
      for table in audience.tables { grantees[table, default: []].formUnion(audience.members) }
      #expect(audience.tables.allSatisfy { grantees[$0, default: []].count <= FormLimits.directGrantees })
    }
    for _ in 0..<2 {
      let forms = Dictionary(uniqueKeysWithValues: zip(audiences.map(\.key), choice.forms))
      let next = FormChoice(audiences, present: forms, subscribed: subscribed, limits: limits)
      #expect(next.forms == choice.forms)
      choice = next
    }
  }
}
