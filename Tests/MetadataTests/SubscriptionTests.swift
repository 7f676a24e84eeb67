import Governance
import Metadata
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SubscriptionTests {
  private static func request(
    _ user: String, _ path: String, _ kind: SubscriptionRequest.Kind = .subscribe
  ) throws -> SubscriptionRequest {
    SubscriptionRequest(kind: kind, user: user, path: try SecurablePath(path), access: .read)
  }

  @Test func faultsComeBackByTheIndexOfTheirRequest() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      let stranger = try await fixture.addUser("stranger")
      try await fixture.write { try await $0.map(stranger, on: fixture.connection.id, to: .noAccount) }
      let items = try await fixture.id("warehouse/main/sales/items")
      _ = try await fixture.write { try await $0.set(.disabled, on: items) }
      let requests = [
        try Self.request("ana", "warehouse/main/sales/orders"),
        try Self.request("nobody", "warehouse/main/sales/orders"),
        try Self.request("ana", "warehouse/main/sales/nothing"),
        try Self.request("ana", "warehouse/main/sales/items"),
        try Self.request("stranger", "warehouse/main/sales/orders"),
        try Self.request("ana", "warehouse/main/sales"),
        try Self.request("ana", "warehouse/main/sales/items", .revoke),
      ]
      let (resolved, faults) = try await fixture.read { try await $0.resolve(requests) }
      #expect(resolved.map(\.request) == [requests[0], requests[6]])
      #expect(faults.mapValues(\.code) == [1: .notFound, 2: .notFound, 3: .refused, 4: .refused, 5: .refused])
      #expect(faults[1]?.message.contains("nobody") == true)
    }
  }

  @Test func aSubscriptionIsDesiredAndHasAJob() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana", role: "ana_role")
      let jobs = try await fixture.subscribe("ana")
      #expect(try await fixture.desired() == ["ana_role orders read"])
      let job = try await fixture.job(jobs[0].id)
      #expect(job.kind == .subscribe && job.lane.kind == .database && job.lane.databaseName == "main")
    }
  }

  @Test func theSameUserAndTableTwiceIsOneSubscriptionAndTheLaterWins() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      let path = try SecurablePath("warehouse/main/sales/orders")
      let jobs = try await fixture.apply([
        SubscriptionRequest(kind: .subscribe, user: "ana", path: path, access: .read),
        SubscriptionRequest(kind: .subscribe, user: "ana", path: path, access: .write),
      ])
      #expect(jobs.count == 2 && jobs[0].id == jobs[1].id)
      #expect(try await fixture.desired() == ["ana orders write"])
    }
  }

  @Test func revokingWriteLeavesRead() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana", "warehouse/main/sales/orders", .write)
      let path = try SecurablePath("warehouse/main/sales/orders")
      _ = try await fixture.apply([SubscriptionRequest(kind: .revoke, user: "ana", path: path, access: .write)])
      #expect(try await fixture.desired() == ["ana orders read"])
      _ = try await fixture.apply([SubscriptionRequest(kind: .revoke, user: "ana", path: path)])
      #expect(try await fixture.desired() == [])
    }
  }

  @Test func revokeJobsAreOfTheRevokeClass() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let path = try SecurablePath("warehouse/main/sales/orders")
      let jobs = try await fixture.apply([SubscriptionRequest(kind: .revoke, user: "ana", path: path)])
      #expect(try await fixture.job(jobs[0].id).jobClass == .revoke)
    }
  }

  @Test func anExpiredSubscriptionIsNotDesiredAndIsRevokedOnce() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana", expires: "2020-01-01T00:00:00Z")
      #expect(try await fixture.desired() == [], "not even before anybody has noticed")
      #expect(try await fixture.write { try await $0.expireSubscriptions(limit: 10) } == 1)
      #expect(try await fixture.write { try await $0.expireSubscriptions(limit: 10) } == 0)
      #expect(try await fixture.read { try await $0.jobs(.init(kind: .revoke)) }.map(\.jobClass) == [.revoke])
      let entry = try await fixture.rows("select path from audit where action = 'expire'")
      #expect(try entry.map { try $0.text("path") } == ["warehouse/main/sales/orders"])
    }
  }

  @Test func aSubscriptionThatExpiresLaterIsDesired() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana", expires: "2999-01-01T00:00:00Z")
      #expect(try await fixture.desired() == ["ana orders read"])
      #expect(try await fixture.write { try await $0.expireSubscriptions(limit: 10) } == 0)
    }
  }

  @Test func aGuardrailThatIsNotMetBarsASubscription() async throws {
    try await Fixture.run { fixture in
      try await fixture.applyPolicy("cleared", "'cleared' in user.groups", effect: .guardrail)
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      #expect(try await fixture.desired() == [])
      let listed = try await fixture.read { try await $0.subscriptions(user: "ana", below: nil) }
      #expect(listed.map(\.barredBy) == ["cleared"])
    }
  }

  @Test func aBarredSubscriptionToADisabledTableStaysBarred() async throws {
    try await Fixture.run { fixture in
      try await fixture.applyPolicy("cleared", "'cleared' in user.groups", effect: .guardrail)
      let ana = try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.write { try await $0.set(.disabled, on: orders) }
      let changed = try await fixture.write { try await $0.barByGuardrails(identities: [ana], securables: [orders]) }
      #expect(changed.isEmpty)
      _ = try await fixture.write { try await $0.set(.inherit, on: orders) }
      #expect(try await fixture.desired() == [])
    }
  }

  @Test func aGuardrailThatCameWhileATableWasDisabledBarsWhenItIsEnabled() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.write { try await $0.set(.disabled, on: orders) }
      try await fixture.applyPolicy("cleared", "'cleared' in user.groups", effect: .guardrail)
      try await fixture.write { session in
        _ = try await session.set(.inherit, on: orders)
        let securable = try await session.securable(at: try SecurablePath("warehouse/main/sales/orders"))
        try await session.submitReach(of: securable)
      }
      #expect(try await fixture.desired() == [])
    }
  }

  @Test func aGuardrailThatCameWhileAConnectionWasInactiveBarsWhenItReturns() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      _ = try await fixture.write { try await $0.setState(of: fixture.connection.id, to: .inactive, reason: nil) }
      try await fixture.applyPolicy("cleared", "'cleared' in user.groups", effect: .guardrail)
      try await fixture.write { session in
        try await session.setState(of: fixture.connection.id, to: .active, reason: nil)
        _ = try await session.submitReturn(to: fixture.connection.id)
      }
      #expect(try await fixture.desired() == [])
    }
  }

  @Test func theLastGuardrailThatGoesUnbarsDisabledTablesToo() async throws {
    try await Fixture.run { fixture in
      try await fixture.applyPolicy("cleared", "'cleared' in user.groups", effect: .guardrail)
      let ana = try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.write { try await $0.set(.disabled, on: orders) }
      let changed = try await fixture.write { session in
        _ = try await session.removePolicy(named: "cleared")
        return try await session.barByGuardrails(identities: [ana], securables: [orders])
      }
      #expect(changed.map(\.isBarred) == [false])
    }
  }

  @Test func everyChangeOfASubscriptionIsInTheTrail() async throws {
    try await Fixture.run { fixture in
      try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let rows = try await fixture.rows("select actor, action, identity, path from audit order by id desc limit 1")
      #expect(try rows.map { try $0.text("action") } == ["subscribe"])
      #expect(try rows.map { try $0.text("path") } == ["warehouse/main/sales/orders"])
    }
  }

  @Test func theListShowsManualAndPolicySubscriptions() async throws {
    try await Fixture.run { fixture in
      let ana = try await fixture.addUser("ana")
      _ = try await fixture.subscribe("ana")
      let items = try await fixture.id("warehouse/main/sales/items")
      _ = try await fixture.write { session in
        try await session.replaceAudiences(
          of: fixture.connection.id,
          by: [
            AudienceDraft(
              key: "read x", access: .read, condition: "x", policies: ["p"], members: [ana], securables: [items])
          ])
      }
      let listed = try await fixture.read { try await $0.subscriptions(user: nil, below: nil) }
      #expect(listed.map { "\($0.path.parts[3]) \($0.origin)" } == ["items policy", "orders manual"])
      let below = try await fixture.read {
        try await $0.subscriptions(user: nil, below: try SecurablePath("warehouse/main/sales/items"))
      }
      #expect(below.map(\.policies) == [["p"]])
    }
  }

}

@Suite(.timeLimit(.minutes(2)))
struct MappingTests {
  @Test func theNearestMappingDecidesAboutTheRole() async throws {
    try await Fixture.run { fixture in
      let plain = try await fixture.addUser("plain")
      let named = try await fixture.addUser("named", role: "its_role")
      let mapped = try await fixture.addUser("mapped", role: "its_role")
      let outside = try await fixture.addUser("outside")
      try await fixture.write { session in
        try await session.map(mapped, on: fixture.connection.id, to: .role("here"))
        try await session.map(outside, on: fixture.connection.id, to: .noAccount)
      }
      var roles: [[String]] = []
      for user in [plain, named, mapped, outside] {
        roles.append(try await fixture.read { try await $0.roles(of: user) }.map(\.role))
      }
      #expect(roles == [["plain"], ["its_role"], ["here"], []])
      try await fixture.write { try await $0.map(mapped, on: fixture.connection.id, to: .unset) }
      #expect(try await fixture.read { try await $0.roles(of: mapped) }.map(\.role) == ["its_role"])
    }
  }
}
