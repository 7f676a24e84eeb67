import Governance
import Metadata
import Testing

/// When the subscriptions of a data source have audiences, and which jobs a change of them needs.
@Suite(.timeLimit(.minutes(2)))
struct SubscriptionFormTests {
  private struct World: Sendable {
    let fixture: Fixture
    let orders: Int64

    /// Subscribes the users numbered so, by the command line's way.
    @discardableResult
    func apply(
      _ kind: SubscriptionRequest.Kind, _ users: Range<Int>, _ access: AccessLevel? = nil
    ) async throws -> [SubmittedJob] {
      try await fixture.write { session in
        let path = try SecurablePath("warehouse/main/sales/orders")
        let (resolved, _) = try await session.resolve(
          users.map { SubscriptionRequest(kind: kind, user: "u\($0)", path: path, access: access) })
        return try await session.apply(resolved, actor: "test")
      }
    }

    func forms() async throws -> [String] {
      try await fixture.rows("select access || ' ' || form as form from audience order by 1").map {
        try $0.text("form")
      }
    }

    func subjects(_ jobs: [SubmittedJob]) async throws -> Set<String> {
      let rows = try await fixture.rows(
        "select kind || ' ' || (scope ->> 'subject') as job from job where id = any ($1)",
        [.int8Array(jobs.map(\.id))])
      return Set(try rows.map { try $0.text("job") })
    }
  }

  private func run(_ body: @Sendable (World) async throws -> Void) async throws {
    try await Fixture.run { fixture in
      try await fixture.execute("insert into identity (name) select 'u' || n from generate_series(0, 399) n")
      try await body(World(fixture: fixture, orders: try await fixture.id("warehouse/main/sales/orders")))
    }
  }

  @Test func twoHundredHoldDirectlyAndOneMoreMakesAnAudience() async throws {
    try await run { world in
      #expect(try await world.subjects(world.apply(.subscribe, 0..<200)) == ["subscribe subscription"])
      #expect(try await world.forms() == [])
      let jobs = try await world.apply(.subscribe, 200..<201)
      #expect(try await world.subjects(jobs) == ["subscribe subscription", "subscribe audience"])
      #expect(try await world.forms() == ["read joining"])
    }
  }

  /// Who holds the grants in the target already is known by what Sluice remembers of them.
  @Test func whileMembersJoinThoseAloneHoldDirectlyWhoDidBefore() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<201)
      #expect(try await world.fixture.rows("select from desired_access where role_kind = 'user'").isEmpty)
      try await world.fixture.write { session in
        try await session.noteGiven(
          (0..<7).map { ManagedGrant(role: "u\($0)", securable: world.orders, privilege: .select) },
          of: world.fixture.connection.id)
      }
      #expect(try await world.fixture.rows("select from desired_access where role_kind = 'user'").count == 7)
      #expect(try await world.fixture.rows("select from desired_access where role_kind = 'audience'").count == 1)
      try await world.fixture.finishJoining()
      #expect(try await world.forms() == ["read audience"])
      #expect(try await world.fixture.rows("select from desired_access where role_kind = 'user'").isEmpty)
    }
  }

  @Test func anAudienceStaysUntilLessThanHalfAreLeft() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<201)
      try await world.fixture.finishJoining()
      let fewer = try await world.apply(.revoke, 100..<201)
      #expect(try await world.subjects(fewer) == ["revoke subscription", "revoke audience"])
      #expect(try await world.forms() == ["read audience"])
      let few = try await world.apply(.revoke, 99..<100)
      #expect(try await world.subjects(few) == ["revoke subscription", "subscribe securable"])
      #expect(try await world.forms() == ["read direct"])
      #expect(try await world.fixture.rows("select from desired_access where role_kind = 'user'").count == 99)
    }
  }

  @Test func writersHaveAnAudienceOfTheirOwn() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<150)
      try await world.apply(.subscribe, 150..<201, .write)
      #expect(try await world.forms() == ["read joining", "write joining"])
      try await world.fixture.finishJoining()
      try await world.apply(.subscribe, 0..<1, .write)
      let members = try await world.fixture.rows(
        "select starts_with(audience_role, 'sluice_w_') as writes from desired_member where member_role = 'u0'")
      #expect(try members.map { try $0.bool("writes") } == [true])
    }
  }

  /// Each sees its own subscribers alone, until the other has committed.
  @Test func twoSubmissionsAtOnceMakeAnAudienceTogether() async throws {
    try await run { world in
      async let one = world.apply(.subscribe, 0..<150)
      async let other = world.apply(.subscribe, 150..<300)
      _ = try await (one, other)
      #expect(try await world.forms() == ["read joining"])
    }
  }

  @Test func expiredSubscribersLeaveTheAudience() async throws {
    try await run { world in
      try await world.apply(.subscribe, 0..<201)
      try await world.fixture.finishJoining()
      try await world.fixture.execute(
        "delete from job; update subscription set expires_at = now() - interval '1 day' where id % 50 = 0")
      let ended = try await world.fixture.write { try await $0.expireSubscriptions(limit: 100) }
      #expect(ended == 4)
      let jobs = try await world.fixture.rows("select kind || ' ' || (scope ->> 'subject') as job from job")
      #expect(Set(try jobs.map { try $0.text("job") }) == ["revoke subscription", "revoke audience"])
    }
  }

  @Test func withoutARoleBudgetSubscriptionsStayDirectUntilTheyAreTooMany() async throws {
    try await run { world in
      try await world.fixture.execute("update connection set role_budget = 0")
      try await world.apply(.subscribe, 0..<300)
      #expect(try await world.forms() == [])
      let error = await #expect(throws: MetadataError.self) { try await world.apply(.subscribe, 300..<301) }
      #expect(error?.code == .refused && error?.message.contains("--role-budget") == true, "\(error as Any)")
      #expect(try await world.fixture.rows("select from subscription").count == 300)
      try await world.apply(.revoke, 0..<1)
    }
  }
}
