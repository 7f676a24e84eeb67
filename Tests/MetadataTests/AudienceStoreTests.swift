import Governance
import Testing

@testable import Metadata

@Suite(.timeLimit(.minutes(2)))
struct AudienceStoreTests {
  private struct World: Sendable {
    let fixture: Fixture
    let ana: Int64
    let bo: Int64
    let orders: Int64
    let items: Int64
    let database: Int64

    func replace(_ drafts: [AudienceDraft]) async throws -> AudienceChanges {
      try await fixture.write { try await $0.replaceAudiences(of: fixture.connection.id, by: drafts) }
    }

    func draft(
      _ key: String = "read analysts", members: [Int64]? = nil, tables: [Int64]? = nil, form: AccessForm = .audience
    ) -> AudienceDraft {
      AudienceDraft(
        key: key, access: .read, condition: "'analysts' in user.groups", policies: ["p"], members: members ?? [ana],
        securables: tables ?? [orders], form: form)
    }

    func form() async throws -> String { try await fixture.rows("select form from audience")[0].text("form") }

    func table(_ securable: Int64) -> AudienceChanges.Table { .init(securable: securable, database: database) }

    func role() async throws -> String { try await fixture.rows("select role from audience")[0].text("role") }

    func audience() async throws -> Int64 {
      try await fixture.rows("select id from audience order by id").map { try $0.int("id") }[0]
    }
  }

  private func run(_ body: @Sendable (World) async throws -> Void) async throws {
    try await Fixture.run { fixture in
      try await body(
        World(
          fixture: fixture, ana: try await fixture.addUser("ana"), bo: try await fixture.addUser("bo"),
          orders: try await fixture.id("warehouse/main/sales/orders"),
          items: try await fixture.id("warehouse/main/sales/items"),
          database: try await fixture.id("warehouse/main")))
    }
  }

  @Test func aNewAudienceIsAGainInBothPlaces() async throws {
    try await run { world in
      let changes = try await world.replace([world.draft()])
      let id = try await world.audience()
      #expect(changes.places == [.init(audience: id, database: world.database): false])
      #expect(changes.users == ["ana": false] && changes.obsolete.isEmpty)
    }
  }

  @Test func theSameAgainChangesNothing() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      #expect(try await world.replace([world.draft()]) == AudienceChanges())
    }
  }

  @Test func aMemberWhoLeavesIsALossOfMembersOnly() async throws {
    try await run { world in
      _ = try await world.replace([world.draft(members: [world.ana, world.bo])])
      let changes = try await world.replace([world.draft(members: [world.bo])])
      #expect(changes.places.isEmpty && changes.users == ["ana": true])
    }
  }

  @Test func manyWhoLeaveAreALossOfTheAudience() async throws {
    try await run { world in
      var many: [Int64] = []
      for number in 1...21 { many.append(try await world.fixture.addUser("u\(number)")) }
      _ = try await world.replace([world.draft(members: many)])
      let changes = try await world.replace([world.draft(members: [])])
      let audience = try await world.audience()
      #expect(changes.users.isEmpty && changes.places == [.init(audience: audience, database: nil): true])
      #expect(try await world.replace([world.draft(members: Array(many.prefix(20)))]).users.count == 20)
    }
  }

  @Test func oneTableForAnotherIsALossWhereItHappens() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      let changes = try await world.replace([world.draft(tables: [world.items])])
      #expect(changes.places == [.init(audience: try await world.audience(), database: world.database): true])
    }
  }

  @Test func anAudienceThatNobodyAsksForIsObsoleteUntilItIsRemoved() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      let id = try await world.audience()
      let changes = try await world.replace([])
      let role = try #require(changes.obsolete[id])
      #expect(try await world.replace([]).obsolete == [id: role])
      try await world.fixture.write { try await $0.removeAudiences(roles: [role], of: world.fixture.connection.id) }
      #expect(try await world.replace([]).obsolete == [:])
    }
  }

  @Test func aRoleIsNamedByAccessAndHashAndIsNeverTooLong() async throws {
    try await run { world in
      _ = try await world.replace([world.draft("read " + String(repeating: "x", count: 5000))])
      let role = try await world.fixture.rows("select role from audience")[0].text("role")
      #expect(role.hasPrefix("sluice_r_") && role.utf8.count <= 63)
    }
  }

  @Test func theRoleOfAConditionStaysTheSame() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      let before = try await world.fixture.rows("select role from audience")[0].text("role")
      _ = try await world.replace([])
      try await world.fixture.write { try await $0.removeAudiences(roles: [before], of: world.fixture.connection.id) }
      _ = try await world.replace([world.draft()])
      #expect(try await world.fixture.rows("select role from audience")[0].text("role") == before)
    }
  }

  @Test func whomSeveralPoliciesAdmitIsListedOnceWithAllOfThem() async throws {
    try await run { world in
      func draft(_ policies: [String]) -> AudienceDraft {
        AudienceDraft(
          key: "read \(policies)", access: .read, condition: "true", policies: policies, members: [world.ana],
          securables: [world.orders])
      }
      _ = try await world.replace([draft(["guard", "one"]), draft(["guard", "two"])])
      let listed = try await world.fixture.read { try await $0.subscriptions(user: "ana", below: nil) }
      #expect(listed.map(\.policies) == [["guard", "one", "two"]])
    }
  }

  @Test func anAudienceWithoutARoleIsAboutItsTables() async throws {
    try await run { world in
      let first = try await world.replace([world.draft(form: .direct)])
      #expect(first.places == [:] && first.tables == [world.table(world.orders): false])
      let more = try await world.replace([world.draft(members: [world.ana, world.bo], form: .direct)])
      #expect(more.places == [:] && more.tables == [world.table(world.orders): false])
      let less = try await world.replace([world.draft(members: [world.bo], form: .direct)])
      #expect(less.tables == [world.table(world.orders): true])
      let other = try await world.replace([world.draft(members: [world.bo], tables: [world.items], form: .direct)])
      #expect(other.tables == [world.table(world.orders): true, world.table(world.items): false])
      let none = try await world.replace([])
      #expect(none.tables == [world.table(world.items): true] && none.obsolete.count == 1)
    }
  }

  @Test func aRoleTakesOverOnceEveryMemberWasReadBack() async throws {
    try await run { world in
      let both = [world.ana, world.bo]
      _ = try await world.replace([world.draft(members: both, form: .direct)])
      let changes = try await world.replace([world.draft(members: both)])
      let (id, role) = (try await world.audience(), try await world.role())
      #expect(
        changes.places == [
          .init(audience: id, database: nil): false, .init(audience: id, database: world.database): false,
        ])
      #expect(try await world.form() == "joining")
      for (members, form) in [(["ana"], "joining"), (["ana", "bo"], "audience")] {
        try await world.fixture.write { session in
          try await session.finishJoining(
            of: world.fixture.connection.id, roles: [role], audiences: members.map { _ in role }, members: members)
        }
        #expect(try await world.form() == form)
      }
      let jobs = try await world.fixture.rows(
        "select scope ->> 'securable' as id from job where scope ->> 'subject' = 'securable'")
      #expect(try jobs.map { try $0.text("id") } == ["\(world.orders)"])
    }
  }

  @Test func aRoleThatIsGivenUpKeepsItsMembersUntilItIsDropped() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      let role = try await world.role()
      try await world.fixture.write { session in
        try await session.note([ManagedRole(role: role, kind: .audience, made: true)], of: world.fixture.connection.id)
      }
      let changes = try await world.replace([world.draft(form: .direct)])
      #expect(changes.places == [:] && changes.tables == [world.table(world.orders): false])
      #expect(Array(changes.obsolete.values) == [role])
      #expect(try await world.fixture.rows("select from desired_member").count == 1)
      let roles = try await world.fixture.rows("select role, role_kind from desired_access")
      #expect(try roles.map { try $0.text("role") } == ["ana"])
      try await world.fixture.write { session in
        try await session.noteDropped([role], of: world.fixture.connection.id, asOf: try await session.now())
      }
      #expect(try await world.fixture.rows("select from desired_member").isEmpty)
    }
  }

  @Test func whatHasNoPlaceIsNotListedAndNotDesired() async throws {
    try await run { world in
      _ = try await world.replace([world.draft()])
      let changes = try await world.replace([world.draft(form: .unplaced)])
      let id = try await world.audience()
      #expect(
        changes.places == [
          .init(audience: id, database: nil): true, .init(audience: id, database: world.database): true,
        ])
      #expect(try await world.fixture.rows("select from desired_access").isEmpty)
      #expect(try await world.fixture.rows("select from desired_member").isEmpty)
      #expect(try await world.fixture.read { try await $0.subscriptions(user: nil, below: nil) }.isEmpty)
      let unplaced = try await world.fixture.read { try await $0.unplacedAudiences(of: world.fixture.connection.id) }
      #expect(unplaced.map(\.policies) == [["p"]] && unplaced.map(\.users) == [1])
    }
  }

  @Test func aMemberWithoutAnAccountIsNotDesired() async throws {
    try await run { world in
      _ = try await world.replace([world.draft(members: [world.ana, world.bo])])
      try await world.fixture.write { try await $0.map(world.bo, on: world.fixture.connection.id, to: .noAccount) }
      let members = try await world.fixture.rows("select member_role from desired_member").map {
        try $0.text("member_role")
      }
      #expect(members == ["ana"])
    }
  }
}
