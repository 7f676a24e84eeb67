import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct AudienceTests {
  @Test func membersReadThroughTheAudienceAndHoldNothingThemselves() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      #expect(try await bench.target.grants(to: ana) == [])
      let audience = try #require(try await bench.audienceRoles().first)
      #expect(
        try await bench.target.grants(to: audience) == [
          "table sales.orders SELECT", "table sales.items SELECT", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  /// The server's session remembers that the name was free, when it waited for the other's CREATE ROLE.
  @Test func aRoleThatAnotherSessionIsMakingIsGrantedToAtOnce() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.addGroup("analysts", [ana])
      let making = try await bench.target.server.admin(bench.target.database)
      try await making.execute("begin; create role \(ana)")
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      async let evaluated = bench.evaluate()
      while try await bench.target.rows(
        "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", [.text(bench.target.manager)]
      ).isEmpty {}
      try await making.execute("commit")
      let jobs = try await evaluated
      await making.close()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test(.enabled("15 knows no options of memberships") { try await TestServer.shared.hasMembershipOptions })
  func membersInheritAndCannotBecomeTheAudience() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let row = try await bench.target.rows(
        "select inherit_option, set_option from pg_auth_members m join pg_roles r on r.oid = m.member where rolname = $1",
        [.text(ana)])[0]
      #expect(try row.bool("inherit_option"))
      #expect(try row.bool("set_option") == false)
    }
  }

  @Test func aUserWhoLeavesTheGroupLosesAccessAndTheOthersKeepIt() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.leaveGroup("analysts", ana)
      let jobs = try await bench.evaluate()
      #expect(jobs.allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.target.canRead(bo, "sales.orders"))
    }
  }

  @Test func aRemovedPolicyTakesItsGrantsInEveryDatabaseAndItsRole() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("sales", in: other)
      try await bench.target.createTables(["sales.people"], in: other)
      let (ana, _) = try await bench.makePolicy()
      #expect(try await bench.target.canRead(ana, "sales.people", in: other))
      let audience = try #require(try await bench.audienceRoles().first)
      _ = try await bench.metadata.transaction { try await $0.removePolicy(named: "analysts-read") }
      let jobs = try await bench.evaluate()
      #expect(jobs.allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.target.canRead(ana, "sales.people", in: other) == false)
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.target.roleExists(ana), "a user's role stays")
    }
  }

  @Test func aNewTableOfAGovernedSchemaIsGrantedAfterASync() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      try await bench.target.createTables(["sales.returns"])
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.returns"))
    }
  }

  @Test func strangersAreTakenOutOfAnAudience() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.execute(
        "create role \(bench.target.prefix)_spy; set role \(try await bench.policyRole()); "
          + "grant \(audience) to \(bench.target.prefix)_spy")
      try await bench.sync()
      #expect(try await bench.target.canRead("\(bench.target.prefix)_spy", "sales.orders") == false)
      for user in [ana, bo] { #expect(try await bench.target.canRead(user, "sales.orders")) }
    }
  }

  @Test func aGuardrailBarsASubscriptionAndLiftingItGivesItBack() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.applyPolicy("cleared", "'cleared' in user.groups", schema: "sales", effect: .guardrail)
      try await bench.evaluate()
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.addGroup("cleared", [ana])
      try await bench.evaluate()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func anAudienceThatIsWantedAgainIsNotForgottenByALateRetirement() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.metadata.transaction { session in
        try await session.removeAudiences(roles: [audience], of: bench.connection.id)
      }
      #expect(try await bench.audienceRoles() == [audience])
    }
  }
}

extension Bench {
  /// `makeSales` with a policy that lets the group of two users read the schema.
  func makePolicy() async throws -> (String, String) {
    let ana = try await makeSales()
    let bo = try await addUser("bo")
    try await addGroup("analysts", [ana, bo])
    try await applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
    try await evaluate()
    return (ana, bo)
  }
}
