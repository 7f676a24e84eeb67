import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Testing

/// Memberships in audiences: with which options, by whom, and whose they are to take away.
@Suite(
  .timeLimit(.minutes(2)),
  .enabled("15 knows no options of memberships") { try await TestServer.shared.hasMembershipOptions })
struct MembershipTests {
  @Test func audiencesAreMadeAndGivenMembersByARoleThatHasNoOthers() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let manager = try await bench.policyRole()
      #expect(
        try await bench.target.members(of: audience) == [
          "\(ana) by \(manager): INHERIT", "\(bo) by \(manager): INHERIT",
        ])
      #expect(try await bench.target.members(of: manager).count == 2, "the login's ADMIN and its SET")
      let login = try await bench.target.rows(
        "select pg_has_role($1, $2, 'USAGE') as has", [.text(bench.target.manager), .text(manager)])
      #expect(try login[0].bool("has") == false)
    }
  }

  /// A transaction holds a lock for each role that it makes; and a database's lane that needs an audience waits for it.
  @Test func theRolesOfManyAreMadeBeforeTheirMemberships() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      var users: [String] = []
      for number in 0..<520 { users.append(try await bench.addUser("many\(number)")) }
      try await bench.addGroup("many", users)
      try await bench.applyPolicy("many read", "\"many\" in user.groups", schema: "sales")
      // Somebody makes the last of them by hand, and is not done yet.
      let last = try #require(users.max())
      let making = try await bench.target.server.admin(bench.target.database)
      try await making.execute("begin; create role \(last)")
      async let evaluated = bench.evaluate()
      while try await bench.target.rows(
        "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", [.text(bench.target.manager)]
      ).isEmpty {}
      let audience = try #require(try await bench.audienceRoles().first)
      let made = try await bench.target.rows(
        "select rolname from pg_roles where rolname = $1 or starts_with(rolname, $2)",
        [.text(audience), .text("\(bench.target.prefix)_many")])
      #expect(made.count == 501, "the audience and 500 users are there for everybody")
      try await making.execute("commit")
      let jobs = try await evaluated
      await making.close()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.members(of: audience).count == users.count)
      #expect(try await bench.target.canRead(last, "sales.orders"))
    }
  }

  @Test func aSecondComparisonOfMembershipsWritesNothing() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let before = try await bench.target.catalogVersions()
      #expect(before.count { $0.hasPrefix("member") } >= 2, "the audience's members are looked at")
      #expect(try await bench.compareEverything().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  /// As a person with Sluice's own rights might have changed them.
  @Test(arguments: ["set true", "admin true", "inherit false, set true", "inherit false"])
  func aMemberWithOtherOptionsOfOurMakingIsSetRight(options: String) async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let manager = try await bench.policyRole()
      try await bench.target.execute("set role \(manager); grant \(audience) to \(ana) with \(options)")
      let jobs = try await bench.compareEverything()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(
        try await bench.target.members(of: audience) == [
          "\(ana) by \(manager): INHERIT", "\(bo) by \(manager): INHERIT",
        ])
      #expect(jobs.contains { $0.result?.contains("\"verified\": 1") == true }, "\(jobs.map(\.result))")
    }
  }

  @Test(arguments: ["inherit false, set true", "inherit true, set true", "admin true"])
  func aStrangerOfOurMakingIsTakenOut(options: String) async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let (manager, spy) = (try await bench.policyRole(), "\(bench.target.prefix)_spy")
      try await bench.target.execute(
        "create role \(spy); set role \(manager); grant \(audience) to \(spy) with \(options)")
      #expect(try await bench.compareEverything().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.members(of: audience).contains { $0.hasPrefix(spy) } == false)
    }
  }

  /// Passed on by somebody who was given the right to by our own grantor.
  @Test func whatAStrangerPassedOnGoesWithTheStranger() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let (manager, spy) = (try await bench.policyRole(), "\(bench.target.prefix)_spy")
      try await bench.target.execute(
        """
        create role \(spy); create role \(spy)_2; set role \(manager); grant \(audience) to \(spy) with admin true;
        reset role; set role \(spy); grant \(audience) to \(spy)_2
        """)
      try await bench.compareEverything()
      #expect(try await bench.target.members(of: audience).contains { $0.hasPrefix(spy) } == false)
    }
  }

  @Test func aStrangerOfAnotherGrantorIsReportedAndStays() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let spy = "\(bench.target.prefix)_spy"
      try await bench.target.execute("create role \(spy); grant \(audience) to \(spy) with inherit false, set true")
      let jobs = try await bench.compareEverything()
      let job = try #require(jobs.first { $0.lane.kind == .roles })
      #expect(job.state == .completed)
      let result = try #require(job.result)
      for text in [
        "residual_access", "\"grantee\": \"\(spy)\"", "\"grantor\": \"postgres\"", "\"privileges\": \"SET\"",
      ] {
        #expect(result.contains(text), "\(text) in \(result)")
      }
      #expect(try await bench.target.members(of: audience).contains("\(spy) by postgres: SET"))
    }
  }

  @Test func whereThePolicyRolesNameIsTakenTheLoginMakesAudiences() async throws {
    try await Bench.run { bench in
      let manager = try await bench.policyRole()
      try await bench.target.execute("create role \(manager)")
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      #expect(
        try await bench.target.members(of: audience) == [
          "\(ana) by \(bench.target.manager): INHERIT", "\(bo) by \(bench.target.manager): INHERIT",
        ])
      #expect(try await bench.target.members(of: manager) == [])
      try await bench.leaveGroup("analysts", ana)
      try await bench.evaluate()
      #expect(try await bench.target.members(of: audience) == ["\(bo) by \(bench.target.manager): INHERIT"])
      try await bench.target.execute("drop role \(manager)")
    }
  }
}

extension Bench {
  /// A comparison of everything in each lane that has a target; returns all jobs that ran.
  @discardableResult
  func compareEverything() async throws -> [Job] {
    _ = try await metadata.transaction { session in
      try await session.submit(
        try await session.lanes(of: self.connection.id).filter { $0.kind != .governance }.map {
          JobRequest(lane: $0.id, kind: .subscribe, jobClass: .bulk, scope: .everything)
        })
    }
    return try await drain()
  }
}

extension TestTarget {
  /// Memberships in a role as `member by grantor: options`, without those of who made it.
  fileprivate func members(of role: String) async throws -> [String] {
    try await rows(
      """
      select u.rolname || ' by ' || g.rolname || ': ' || concat_ws(', ', case when inherit_option then 'INHERIT' end,
        case when set_option then 'SET' end, case when admin_option then 'ADMIN' end) as member
      from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
        join pg_roles g on g.oid = m.grantor
      where r.rolname = $1 and (m.grantor <> 10 or inherit_option or set_option or starts_with(r.rolname, 'sluice_p'))
      order by 1
      """, [.text(role)]
    ).map { try $0.text("member") }
  }
}
