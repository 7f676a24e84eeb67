import Governance
import Metadata
import Testing

/// When schemas and databases have audiences for USAGE and CONNECT, and which jobs a change of them needs.
@Suite(.timeLimit(.minutes(2)))
struct PrerequisiteFormTests {
  private struct World: Sendable {
    let fixture: Fixture

    @discardableResult
    func apply(
      _ kind: SubscriptionRequest.Kind, _ users: Range<Int>, _ table: String
    ) async throws -> Set<String> {
      let jobs = try await fixture.write { session in
        let path = try SecurablePath("warehouse/main/sales/\(table)")
        let (resolved, _) = try await session.resolve(
          users.map { SubscriptionRequest(kind: kind, user: "u\($0)", path: path, access: nil) })
        return try await session.apply(resolved, actor: "test")
      }
      let rows = try await fixture.rows(
        "select kind || ' ' || (scope ->> 'subject') as job from job where id = any ($1)", [.int8Array(jobs.map(\.id))])
      return Set(try rows.map { try $0.text("job") })
    }

    /// The audiences by what they are of, in alphabetical order.
    func forms() async throws -> [String] {
      try await fixture.rows(
        "select s.name || ' ' || a.form as form from audience a join securable s on s.id = a.securable_id order by 1"
      ).map { try $0.text("form") }
    }

    func members(_ name: String) async throws -> Int {
      try await fixture.rows(
        """
        select from desired_member m join audience a on a.id = m.audience_id join securable s on s.id = a.securable_id
        where s.name = $1
        """, [.text(name)]
      ).count
    }
  }

  private func run(_ body: @Sendable (World) async throws -> Void) async throws {
    try await Fixture.run { fixture in
      try await fixture.execute("insert into identity (name) select 'u' || n from generate_series(0, 399) n")
      try await body(World(fixture: fixture))
    }
  }

  @Test func twoHundredHoldDirectlyAndOneMoreMakesAudiencesOfTheSchemaAndTheDatabase() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<100, "orders")
      #expect(try await world.apply(.subscribe, 0..<200, "items") == ["subscribe subscription"])
      #expect(try await world.forms() == [])
      #expect(
        try await world.apply(.subscribe, 200..<201, "orders") == ["subscribe subscription", "subscribe audience"])
      #expect(try await world.forms() == ["main joining", "sales joining"])
      #expect(try await world.members("sales") == 201)
      #expect(try await world.members("main") == 201)
    }
  }

  @Test func audiencesStayUntilLessThanHalfAreLeft() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<150, "orders")
      try await world.apply(.subscribe, 150..<201, "items")
      try await world.fixture.finishJoining()
      #expect(try await world.forms() == ["main audience", "sales audience"])
      let fewer = try await world.apply(.revoke, 49..<150, "orders")
      #expect(fewer == ["revoke subscription", "revoke audience"])
      #expect(try await world.forms() == ["main audience", "sales audience"])
      let few = try await world.apply(.revoke, 48..<49, "orders")
      #expect(few == ["revoke subscription", "subscribe securable"])
      #expect(try await world.forms() == ["main direct", "sales direct"])
    }
  }

  /// Each sees its own subscribers alone, until the other has committed.
  @Test func twoSubmissionsAtOnceMakeAudiencesTogether() async throws {
    try await run { world in
      async let one = world.apply(.subscribe, 0..<150, "orders")
      async let other = world.apply(.subscribe, 150..<300, "items")
      _ = try await (one, other)
      #expect(try await world.forms() == ["main joining", "sales joining"])
    }
  }

  /// Those come in by the table's audience, and so they do not count; but they are members, for the day it goes.
  @Test func subscribersOfATableThatHasAnAudienceAreNotCounted() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<201, "orders")
      try await world.apply(.subscribe, 201..<400, "items")
      #expect(try await world.forms() == ["orders joining"])
      try await world.fixture.finishJoining()
      try await world.apply(.subscribe, 0..<2, "items")
      #expect(try await world.forms() == ["items joining", "orders audience"])
    }
  }

  /// Without its own audience its subscribers would come in by the schema's before they are its members.
  @Test func aTableKeepsItsAudienceWhereItsSchemaHasNoRoomForItsSubscribers() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<201, "orders")
      try await world.apply(.subscribe, 201..<390, "items")
      try await world.fixture.finishJoining()
      let jobs = try await world.apply(.revoke, 50..<201, "orders")
      #expect(jobs == ["revoke subscription", "revoke audience"])
      #expect(try await world.forms() == ["orders audience"])
      try await world.apply(.revoke, 201..<300, "items")
      #expect(try await world.apply(.revoke, 49..<50, "orders").contains("subscribe securable"))
      #expect(try await world.forms() == ["orders direct"])
    }
  }
}
