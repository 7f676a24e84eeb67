import Governance
import Metadata
import SluiceTestKit
import Testing

/// What tells the roles that Sluice made from those of others, whatever their names.
@Suite(.timeLimit(.minutes(2)))
struct MarkTests {
  @Test func rolesThatSluiceMakesSayWhoseTheyAreAndAreNotedByTheirOID() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let installation = try await bench.metadata.read { try await $0.installation() }
      for (role, kind) in [(ana, "user"), (audience, "audience")] {
        let row = try await bench.target.rows(
          "select oid::bigint as oid, shobj_description(oid, 'pg_authid') as mark from pg_roles where rolname = $1",
          [.text(role)])[0]
        #expect(try row.text("mark") == "sluice \(installation) \(kind)")
        let noted = try await bench.metadata.read { try await $0.madeRoles(of: bench.connection.id, among: [role]) }
        #expect(noted[role]?.oid.map(Int64.init) == (try row.int("oid")))
      }
    }
  }

  @Test func anAudiencesNameThatIsSomebodyElsesIsNeverAlteredNorAreItsMembers() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let stranger = "\(bench.target.prefix)_stranger"
      try await bench.target.takeName(of: audience, stranger)
      let before = try await bench.target.catalogVersions()

      let jobs = try await bench.compareEverything()
      let failed = jobs.filter { $0.state == .discarded }
      #expect(Set(failed.map(\.lane.kind)) == [.roles, .database], "\(jobs.map(\.state))")
      #expect(
        failed.allSatisfy { $0.error?.contains("is not Sluice's") == true && $0.remedy?.contains("rename") == true })
      #expect(try await bench.target.catalogVersions() == before)
      #expect(try await bench.target.grants(to: audience) == ["table sales.orders SELECT"], "a stranger's doing")
    }
  }

  @Test func aRoleThatSomebodyMadeUnderAnAudiencesNameIsNotDropped() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.takeName(of: audience, "\(bench.target.prefix)_stranger")
      try await bench.target.execute("drop owned by \(audience)")
      _ = try await bench.metadata.transaction { try await $0.removePolicy(named: "analysts-read") }
      try await bench.evaluate()
      #expect(try await bench.target.roleExists(audience))
      #expect(try await bench.audienceRoles() == [])
      try await bench.target.execute("drop role \(audience)")
    }
  }

  /// It has its grants and members still, and by its name nobody would find them.
  @Test(arguments: ["a comparison", "a sync", "leaving", "a subscription", "retirement"])
  func anAudienceThatWasRenamedGetsItsNameBack(by occasion: String) async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let other = "\(bench.target.prefix)_theirs"
      try await bench.target.execute("alter role \(audience) rename to \(other)")
      let planned = try await bench.planner.plan(bench.connection).flatMap(\.statements)
      #expect(planned.contains("ALTER ROLE \"\(other)\" RENAME TO \"\(audience)\""), "\(planned)")
      var jobs: [Job] = []
      switch occasion {
      case "a comparison": jobs = try await bench.compareEverything()
      case "a sync": jobs = try await bench.syncAgain()
      case "leaving":
        try await bench.leaveGroup("analysts", ana)
        jobs = try await bench.evaluate()
      case "a subscription":
        try await bench.target.createTables(["sales.more"])
        jobs = try await bench.syncAgain()
        #expect(try await bench.target.canRead(bo, "sales.more"))
      default:
        _ = try await bench.metadata.transaction { try await $0.removePolicy(named: "analysts-read") }
        jobs = try await bench.evaluate()
      }
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.roleExists(other) == false)
      #expect(try await bench.target.roleExists(audience) == (occasion != "retirement"))
      #expect(try await bench.target.canRead(bo, "sales.orders") == (occasion != "retirement"))
      #expect(
        try await bench.target.canRead(ana, "sales.orders") == !["leaving", "retirement"].contains(occasion))
    }
  }

  @Test func anAudienceThatCannotGetItsNameBackFailsWhoeverMayBeItsMember() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let other = "\(bench.target.prefix)_theirs"
      try await bench.target.execute("alter role \(audience) rename to \(other); create role \(audience)")
      try await bench.leaveGroup("analysts", ana)
      let job = try #require(try await bench.evaluate().first { $0.lane.kind == .roles })
      #expect(job.state == .discarded)
      #expect(job.error?.contains("was renamed to \"\(other)\"") == true, "\(job.error ?? "")")
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      try await bench.target.execute("drop role \(audience)")
      #expect(try await bench.compareEverything().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
    }
  }

  /// Before there were marks of installations, and where a platform has the comment to itself.
  @Test(arguments: ["'made by Sluice'", "'databricks_auth id=1,type=user'", "null"])
  func rolesWithoutTheMarkOfAnInstallationStillCount(comment: String) async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      for role in [audience, ana] { try await bench.target.execute("comment on role \(role) is \(comment)") }
      if comment.contains("Sluice") { try await bench.execute("update managed_role set oid = null") }
      try await bench.leaveGroup("analysts", ana)
      let jobs = try await bench.evaluate()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.target.canRead(bo, "sales.orders"))
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.target.roleExists(ana) == false)
    }
  }
}

extension Bench {
  fileprivate func syncAgain() async throws -> [Job] {
    _ = try await metadata.transaction { try await $0.submitSync(of: self.connection.id) }
    return try await drain()
  }
}

extension TestTarget {
  /// Drops a role of Sluice's, and has somebody make another of that name, with a member and a grant.
  fileprivate func takeName(of role: String, _ member: String) async throws {
    try await execute(
      """
      set role \(manager); revoke all on all tables in schema sales from \(role);
      revoke all on schema sales from \(role); revoke all on database \(database) from \(role); reset role;
      drop role \(role); create role \(role); create role \(member); grant \(role) to \(member);
      set role \(owner); grant select on sales.orders to \(role)
      """)
  }
}
