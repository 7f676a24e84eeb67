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

    func draft(_ key: String = "read analysts", members: [Int64]? = nil, tables: [Int64]? = nil) -> AudienceDraft {
      AudienceDraft(
        key: key, access: .read, condition: "'analysts' in user.groups", policies: ["p"], members: members ?? [ana],
        securables: tables ?? [orders])
    }

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
      #expect(
        changes.places == [
          .init(audience: id, database: nil): false, .init(audience: id, database: world.database): false,
        ])
      #expect(changes.obsolete.isEmpty)
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
      #expect(changes.places == [.init(audience: try await world.audience(), database: nil): true])
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
