import Governance
import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct LeaveTests {
  @Test func deletingAConnectionTakesBackItsGrantsAndRolesInEveryDatabaseAndNothingElse() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("sales", in: other)
      try await bench.target.createTables(["sales.people"], in: other)
      let (ana, bo) = try await bench.makePolicy()
      let stranger = "\(bench.target.prefix)_stranger"
      try await bench.target.execute(
        "create role \(stranger); set role \(bench.target.owner); grant select on sales.items to \(stranger), \(bo)")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)

      try await bench.leave(.deleting)
      try await bench.drain(now: true)

      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
      if bench.target.server.hasMembershipOptions {
        #expect(try await bench.target.roleExists(try await bench.policyRole()) == false)
      }
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.target.roleExists(ana) == false, "made by Sluice, and nothing refers to it")
      #expect(try await bench.target.roleExists(bo), "somebody else granted to it")
      #expect(try await bench.target.grants(to: bo) == ["table sales.items SELECT"])
      #expect(try await bench.target.grants(to: stranger) == ["table sales.items SELECT"])
    }
  }

  @Test func aRoleThatExistedBeforeIsNotDropped() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana) login")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      #expect(try await bench.target.roleExists(ana))
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aConnectionThatWasNeverSyncedIsDeletedAtOnce() async throws {
    try await Bench.run { bench in
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
    }
  }

  @Test func anInactiveConnectionKeepsItsRolesAndGetsEverythingBackWhenItReturns() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)

      try await bench.leave(.inactive)
      try await bench.drain(now: true)
      #expect(try await bench.target.canRead(bo, "sales.items") == false)
      #expect(try await bench.target.grants(to: ana) == [])
      #expect(try await bench.target.roleExists(audience), "only deleting removes roles")

      try await bench.metadata.transaction { session in
        try await session.setState(of: bench.connection.id, to: .active, reason: nil)
        _ = try await session.submitReturn(to: bench.connection.id)
      }
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(bo, "sales.items"), "as a member of the audience")
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
    }
  }

  @Test func aConnectionWhoseDatabaseCouldNotBeLeftIsNotDeletedAndSaysWhy() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.leave(.deleting)
      try await bench.execute(
        """
        update job set state = 'discarded', error = 'shut out', finished_at = now(), open_key = null
        where scope ->> 'subject' = 'leave' and lane_id in (select id from lane where kind = 'database')
        """)
      let roles = try #require(try await bench.drain(now: true).last)
      #expect(roles.state == .discarded && roles.remedy?.contains("sluice job retry") == true)
      let blocked = try await bench.metadata.read { try await $0.connection(id: bench.connection.id) }
      #expect(blocked.state == .deleting && blocked.stateReason?.contains("shut out") == true)

      let discarded = try await bench.metadata.read { try await $0.jobs(.init(state: .discarded)) }
      for job in discarded where job.lane.kind == .database {
        _ = try await bench.metadata.transaction { try await $0.retryJob(id: job.id) }
      }
      try await bench.drain(now: true)
      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  /// In a server of its own, where every role, entry, membership and comment is this test's.
  @Test func afterADeletionTheInstanceIsAsItWasBeforeTheFirstGrant() async throws {
    let server = try await TestServer.start()
    try await Bench.run(targetServer: server) { bench in
      let target = bench.target
      try await target.createSchema("sales", in: target.otherDatabase)
      try await target.createTables(["sales.people"], in: target.otherDatabase)
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await target.execute("create role \(bo) login; comment on role \(bo) is 'here before'")
      let before = try await target.snapshot()

      try await bench.addGroup("analysts", [ana, bo])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      try await bench.evaluate()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.subscribe(bo, to: ["sales.people"], in: target.otherDatabase)
      try await bench.drain()
      let stranger = "\(target.prefix)_stranger"
      try await target.execute(
        """
        create role \(stranger); grant \(stranger) to \(bo); set role \(target.owner);
        grant select, update on sales.orders, sales.items to \(stranger); grant usage on schema sales to \(stranger)
        """)
      let between = try await target.snapshot()
      #expect(between.count > before.count + 10)

      try await bench.leave(.deleting)
      let jobs = try await bench.drain(now: true)
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await target.snapshot().filter { !$0.contains(stranger) } == before)
      #expect(
        try await target.snapshot().filter { $0.contains(stranger) } == between.filter { $0.contains(stranger) })
      try await target.execute("drop owned by \(stranger)")
    }
    await server.postgres.stop()
  }

  @Test func whatOthersMadeOfItsRolesKeepsThemAndIsNamed() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      // On 15 our REVOKE takes away what anybody has made of an audience.
      let kept = bench.target.server.hasMembershipOptions ? [ana, audience, try await bench.policyRole()] : [ana]
      let stranger = "\(bench.target.prefix)_stranger"
      try await bench.target.execute(
        "create role \(stranger); grant \(stranger) to \(ana); grant \(audience) to \(stranger)")
      let plan = try await bench.planner.planLeave(bench.connection)
      #expect(Set(plan.kept.keys) == Set(kept))
      #expect(Set(plan.drops) == Set([bo, audience]).subtracting(kept))

      try await bench.leave(.deleting)
      let last = try #require(try await bench.drain(now: true).last { $0.lane.kind == .roles })
      #expect(last.state == .completed)
      for role in kept { #expect(try await bench.target.roleExists(role)) }
      #expect(try await bench.target.roleExists(bo) == false)
      let connection = try await bench.metadata.read { try await $0.connection(id: bench.connection.id) }
      let trail = try await bench.metadata.read {
        try await $0.connection.query(
          "select detail ->> 'leftovers' as text from audit where action = 'connection delete' order by id desc limit 1"
        ).rows[0].text("text")
      }
      for text in [connection.stateReason ?? "", last.result ?? "", trail] {
        #expect(text.contains("it is a member of role") && text.contains(stranger), "\(text)")
        // A job's result names what was dropped as well.
        #expect(text.contains(audience) || !kept.contains(audience), "\(text)")
      }
      if kept.contains(audience) { try await bench.target.execute("revoke \(audience) from \(stranger)") }
    }
  }

  /// A copy has the entries of what it was copied from, and no sync has seen it.
  @Test func aDatabaseThatCameSinceTheLastSyncIsLeftToo() async throws {
    try await Bench.run { bench in
      let (_, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let copy = "\(bench.target.prefix)_copy"
      try await bench.target.server.createDatabase(copy, template: bench.target.database)
      try await bench.target.execute("grant connect on database \(copy) to \(bench.target.manager)")
      #expect(try await bench.target.grants(to: audience, in: copy).contains("table sales.items SELECT"))
      try await bench.leave(.deleting)
      let jobs = try await bench.drain(now: true)
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.target.roleExists(bo) == false)
      try await bench.target.server.dropDatabase(copy)
    }
  }

  @Test func rolesAreDroppedManyAtOnceAndADryRunTellsWhich() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      var users: [String] = []
      for index in 0..<30 { users.append(try await bench.addUser("u\(index)")) }
      try await bench.addGroup("analysts", users)
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      try await bench.evaluate()
      try await bench.subscribe(users[0], to: ["sales.orders"], .write)
      try await bench.drain()
      let (before, done) = (try await bench.target.catalogVersions(), try await bench.statements().count)
      let plan = try await bench.planner.planLeave(bench.connection)
      #expect(try await bench.target.catalogVersions() == before)

      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      let statements = Array(try await bench.statements().dropFirst(done))
      let policyRoles = bench.target.server.hasMembershipOptions ? 1 : 0
      #expect(statements.count { $0.hasPrefix("DROP ROLE") } == 2 + policyRoles, "audiences, users, the policy role")
      #expect(
        plan.revokes.flatMap(\.statements).sorted() == statements.filter { !$0.hasPrefix("DROP ROLE") }.sorted())
      #expect(plan.kept.isEmpty)
      #expect(plan.drops.count == 31 + policyRoles)
      for role in plan.drops { #expect(try await bench.target.roleExists(role) == false) }
    }
  }

  @Test func theNameOfADeletedConnectionIsFree() async throws {
    try await Bench.run { bench in
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      let again = try await bench.register()
      #expect(again.id != bench.connection.id)
    }
  }
}

extension Bench {
  /// What `connection deactivate` and `connection delete` do.
  func leave(_ state: Connection.State) async throws {
    try await metadata.transaction { session in
      try await session.setState(of: self.connection.id, to: state, reason: "a test")
      _ = try await session.submitLeave(of: self.connection.id)
    }
  }
}

extension TestTarget {
  /// All roles, comments on them, memberships and entries of access control lists of the instance, by name.
  fileprivate func snapshot() async throws -> [String] {
    var lines = try await rows(
      """
      select format('role %s %s', rolname, rolcanlogin) as line from pg_roles
      union all select format('comment %s %s', r.rolname, d.description)
        from pg_shdescription d join pg_roles r on r.oid = d.objoid where d.classoid = 'pg_authid'::regclass
      union all select format('member %s of %s by %s %s%s%s', m.member::regrole, m.roleid::regrole, m.grantor::regrole,
        to_jsonb(m) ->> 'inherit_option', to_jsonb(m) ->> 'set_option', admin_option) from pg_auth_members m
      union all select format('database %s %s by %s %s %s', datname, x.grantee::regrole, x.grantor::regrole,
        x.privilege_type, x.is_grantable)
        from pg_database b, aclexplode(coalesce(datacl, acldefault('d', datdba))) x
      """
    ).map { try $0.text("line") }
    for place in [database, otherDatabase] {
      lines += try await rows(
        """
        with item as (
          select format('%s.%s', relnamespace::regnamespace, relname) as name,
            coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)) as acl
          from pg_class where oid >= 16384
          union all select format('%s.%s', attrelid::regclass, attname), attacl from pg_attribute where attrelid >= 16384
          union all select nspname, coalesce(nspacl, acldefault('n', nspowner)) from pg_namespace
          union all select proname, coalesce(proacl, acldefault('f', proowner)) from pg_proc where oid >= 16384
          union all select format('default %s', oid), defaclacl from pg_default_acl
        )
        select format('%s %s %s by %s %s %s', current_database(), name, x.grantee::regrole, x.grantor::regrole,
          x.privilege_type, x.is_grantable) as line
        from item, aclexplode(acl) x
        """, in: place
      ).map { try $0.text("line") }
    }
    return lines.sorted()
  }
}
