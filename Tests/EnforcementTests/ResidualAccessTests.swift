import Metadata
import SluiceTestKit
import Testing

/// What Sluice cannot take away is said, whatever the route.
@Suite(.timeLimit(.minutes(2)))
struct ResidualAccessTests {
  @Test(
    arguments: [
      ("grant", nil, "set role OWNER; grant select on sales.orders to ANA"),
      ("grant", #""columns": ["id"]"#, "set role OWNER; grant select (id) on sales.orders to ANA"),
      ("public", nil, "grant select on sales.orders to public"),
      ("superuser", nil, "alter role ANA superuser"),
      ("ownership", nil, "alter table sales.orders owner to ANA"),
      ("ownership", #""how": "inherit""#, "grant OWNER to ANA"),
      ("ownership", #""how": "set""#, "alter role ANA noinherit; grant OWNER to ANA"),
      ("predefined role", #""via": "pg_read_all_data""#, "grant pg_read_all_data to ANA"),
      ("predefined role", #""certain": false"#, "grant pg_read_server_files to ANA"),
      (
        "predefined role", #""member_of": "OWNER""#,
        "grant pg_read_all_data to OWNER; alter table sales.orders owner to postgres; grant OWNER to ANA"
      ),
      (
        "view", #""object": "sales.v""#,
        "create view sales.v as select * from sales.orders; grant select on sales.v to ANA"
      ),
      (
        "view", #""object": "sales.vv""#,
        """
        create view sales.v as select * from sales.orders; create view sales.vv as select v from sales.v;
        grant select (v) on sales.vv to ANA
        """
      ),
      (
        "view", #""object": "sales.m""#,
        "create materialized view sales.m as select * from sales.orders; grant select on sales.m to public"
      ),
      (
        "parent", #""object": "sales.every""#,
        """
        create table sales.every (id int, v text); alter table sales.orders inherit sales.every;
        grant select on sales.every to ANA
        """
      ),
      (
        "partition", #""object": "sales.part""#,
        "create table sales.part () inherits (sales.orders); grant select on sales.part to ANA"
      ),
      (
        "function", #""certain": true"#,
        """
        create function sales.f() returns bigint security definer begin atomic select count(*) from sales.orders; end
        """
      ),
      (
        "function", #""certain": false"#,
        """
        create function sales.f() returns bigint security definer language plpgsql
        as 'begin return (select count(*) from sales.Orders); end'
        """
      ),
    ] as [(String, String?, String)])
  func aRevokeNamesTheRouteThatIsLeft(route: String, fact: String?, script: String) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      func named(_ text: String) -> String {
        text.replacing("OWNER", with: bench.target.owner).replacing("ANA", with: ana)
      }
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.letIn(ana)
      try await bench.target.execute(named(script))
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.state == .completed)
      let result = job.result ?? ""
      #expect(result.contains("\"route\": \"\(route)\""), "\(result)")
      #expect(result.contains(#""effective": true"#), "\(result)")
      if let fact { #expect(result.contains(named(fact)), "\(result)") }
      #expect(try await bench.residualTrail().contains { $0.contains(" by \(route)") })
      try await bench.target.execute(
        "drop function if exists sales.f; alter table sales.orders owner to \(bench.target.owner)")
    }
  }

  /// What runs with the caller's rights, and what whoever owns it may not do.
  @Test(arguments: [
    "create view sales.v with (security_invoker = on) as select * from sales.orders; grant select on sales.v to ANA",
    """
    create role ANA_x; create view sales.v as select * from sales.orders; alter view sales.v owner to ANA_x;
    grant select on sales.v to ANA
    """,
    """
    create function sales.f() returns bigint language plpgsql as 'begin return (select count(*) from sales.orders); end'
    """,
    """
    create function sales.f() returns bigint security definer begin atomic select count(*) from sales.orders; end;
    revoke execute on function sales.f from public
    """,
    """
    create view sales.v with (security_invoker = on) as select * from sales.orders;
    create view sales.vv as select * from sales.v; grant select on sales.vv to ANA
    """,
  ])
  func whatGivesNoRowsIsNoRoute(script: String) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute(script.replacing("ANA", with: ana))
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains("residual_access") == false, "\(job.result ?? "")")
    }
  }

  @Test func aRouteWithoutTheSchemaIsToldApart() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("grant select on sales.orders to public")
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains(#""effective": false"#) == true, "\(job.result ?? "")")
    }
  }

  /// From 16 on a membership says itself what it is good for.
  @Test(
    arguments: [
      ("with inherit false, set true", "set"), ("with inherit false, set false, admin true", "admin"),
      ("with inherit true, set false", "inherit"), ("with inherit false, set false", nil),
    ] as [(String, String?)])
  func aMembershipIsToldByWhatItIsGoodFor(options: String, how: String?) async throws {
    try await Bench.run { bench in
      guard bench.target.server.hasMembershipOptions else { return }
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.subscribe(bo, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("grant \(bo) to \(ana) \(options)")
      try await bench.revoke(ana, from: ["sales.orders"])
      let result = try #require(try await bench.drain().last?.result)
      guard let how else {
        #expect(!result.contains("residual_access"), "\(result)")
        return
      }
      #expect(result.contains(#""how": "\#(how)", "via": "\#(bo)""#), "\(result)")
    }
  }

  @Test func membershipInAnotherUsersRoleIsARoute() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.subscribe(bo, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("grant \(bo) to \(ana)")
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains("\"via\": \"\(bo)\", \"route\": \"membership\"") == true, "\(job.result ?? "")")
    }
  }

  @Test func aRevokeOfWriteNamesWhatIsLeftBeyondReading() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.target.execute("grant select, insert on sales.orders to public")
      try await bench.revoke(ana, from: ["sales.orders"], .write)
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains("\"privileges\": \"INSERT\"") == true, "\(job.result ?? "")")
    }
  }

  @Test func removingAUserNamesWhatIsLeftOnEachTable() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      try await bench.target.execute("grant select on sales.items to public")
      try await bench.removeUser(ana)
      let results = try await bench.drain().compactMap(\.result)
      #expect(results.contains { $0.contains("\"route\": \"public\"") }, "\(results)")
    }
  }

  /// What a guardrail bars was never given, and may be there all the same.
  @Test(arguments: [true, false])
  func aRefusedSubscriptionNamesTheRouteThatIsThere(isThere: Bool) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.applyPolicy("trusted", "'trusted' in user.groups", schema: "sales", effect: .guardrail)
      try await bench.target.execute("create role \(ana)")
      try await bench.letIn(ana)
      if isThere { try await bench.target.execute("grant select on sales.orders to \(ana)") }
      let submitted = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      let (orders, items) = (try await bench.job(submitted[0].id), try await bench.job(submitted[1].id))
      #expect(orders.state == .completed)
      #expect(orders.result?.contains("\"route\": \"grant\"") == isThere, "\(orders.result ?? "")")
      #expect(items.result?.contains("residual_access") == false, "\(items.result ?? "")")
      #expect(try await bench.residualTrail().count == (isThere ? 1 : 0))
    }
  }

  @Test func aCleanRevokeNamesNone() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains("residual_access") == false)
    }
  }

  @Test func leavingAnAudienceNamesWhatIsLeft() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.addGroup("staff", [ana, bo])
      try await bench.applyPolicy("staff reads", "\"staff\" in user.groups", schema: "sales")
      try await bench.evaluate()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      // To everybody, and to somebody else, of whom the leaver is a member.
      try await bench.target.execute(
        "grant select on sales.items to public; grant \(bo) to \(ana)")
      try await bench.letIn(ana)
      try await bench.leaveGroup("staff", ana)
      let jobs = try await bench.evaluate()
      let looks = jobs.filter { $0.scope.subject == .residual }
      #expect(looks.map(\.scope.role) == [ana])
      let result = try #require(looks.first?.result)
      #expect(looks.first?.state == .completed)
      #expect(result.contains(#""examined": 2"#), "\(result)")
      #expect(result.contains(#""route": "public""#), "\(result)")
      // Through the other's membership in the audience that this one left.
      #expect(result.contains("\"member_of\": \"\(bo)\""), "\(result)")
      #expect(try await bench.residualTrail().count == 2)
      // Who stays is asked for nothing, and who leaves nothing behind is told so.
      #expect(!result.contains("\"grantee\": \"\(bo)\""))
    }
  }

  @Test func thoseWhoLeaveTogetherAreToldApart() async throws {
    try await Bench.run { bench in
      var users = [try await bench.makeSales()]
      for name in ["bo", "cy", "di"] { users.append(try await bench.addUser(name)) }
      // Two stay, so that the audience does.
      try await bench.addGroup("staff", users + [try await bench.addUser("ed"), try await bench.addUser("fay")])
      try await bench.applyPolicy("staff reads", "\"staff\" in user.groups", schema: "sales")
      try await bench.evaluate()
      let friend = "\(bench.target.prefix)_friend"
      try await bench.target.execute(
        """
        create role \(friend); grant select on sales.items to \(friend);
        grant \(friend) to \(users[2]); grant \(friend) to \(users[3]) with admin option;
        grant insert on sales.orders to \(users[1])
        """)
      for user in users { try await bench.leaveGroup("staff", user) }
      let looks = try await bench.evaluate().filter { $0.scope.subject == .residual }
      func routes(of user: String) throws -> String {
        let look = try #require(looks.first { $0.scope.role == user })
        return try #require(look.result)
      }
      #expect(Set(looks.compactMap(\.scope.role)) == Set(users))
      #expect(try !routes(of: users[0]).contains("residual_access"))
      #expect(try routes(of: users[1]).contains(#""route": "grant""#))
      #expect(try routes(of: users[2]).contains(#""how": "inherit""#))
      #expect(try routes(of: users[3]).contains(#""how": "inherit""#))
      #expect(try await bench.residualTrail().count == 3)
      for user in users { #expect(try routes(of: user).contains(#""examined": 2"#)) }
    }
  }

  @Test func explainNamesAnothersGrantBesideOurOwn() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("set role \(bench.target.owner); grant select on sales.orders to \(ana)")
      let explanation = try await bench.explainer.explain(user: ana, path: try bench.path("sales", "orders"))
      #expect(explanation.target?.residual.map(\.grantor) == [bench.target.owner])
    }
  }

  @Test func explainShowsWhatTheTargetReallyAllows() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("grant insert on sales.orders to public")
      let explanation = try await bench.explainer.explain(user: ana, path: try bench.path("sales", "orders"))
      #expect(explanation.desired == .read && explanation.isEnabled && explanation.role == ana)
      let access = try #require(explanation.target)
      #expect(access.roleExists && access.canRead && !access.canWrite)
      #expect(access.residual.map(\.route) == ["public"])
      #expect(Set(access.routes.map(\.route)) == ["grant", "public"])
    }
  }
}

extension Bench {
  /// Lets a role into the database and its schema, whatever Sluice gives it. Not everybody: other tests would see it.
  func letIn(_ role: String) async throws {
    try await target.execute(
      "grant connect on database \(target.database) to \(role); grant usage on schema sales to \(role)")
  }

  /// The ways of residual access in the audit trail.
  func residualTrail() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query(
        "select detail ->> 'routes' as routes from audit where action = 'residual' order by id"
      ).rows.map { try $0.text("routes") }
    }
  }
}
