import Enforcement
import Governance
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
      // It holds the rows, whatever its owner may read now.
      (
        "view", #""object": "sales.m""#,
        """
        create role ANA_x; create materialized view sales.m as select * from sales.orders;
        alter materialized view sales.m owner to ANA_x; grant select on sales.m to ANA
        """
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
      let result = try await bench.takeOrders(
        after: "grant connect on database MAIN to ANA; grant usage on schema sales to ANA;" + script)
      #expect(result.contains("\"route\": \"\(route)\""), "\(result)")
      #expect(result.contains(#""effective": true"#), "\(result)")
      if let fact { #expect(result.contains(bench.named(fact)), "\(result)") }
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
    """
    create role ANA_x; create function sales.f() returns bigint security definer language plpgsql
    as 'begin return (select count(*) from sales.orders); end'; alter function sales.f owner to ANA_x
    """,
    """
    create function sales.f() returns trigger security definer language plpgsql
    as 'begin perform from sales.orders; return new; end'
    """,
  ])
  func whatGivesNoRowsIsNoRoute(script: String) async throws {
    try await Bench.run { bench in
      let result = try await bench.takeOrders(after: script)
      #expect(!result.contains("residual_access"), "\(result)")
    }
  }

  @Test func aRouteWithoutTheSchemaIsToldApart() async throws {
    try await Bench.run { bench in
      let result = try await bench.takeOrders(after: "grant select on sales.orders to public")
      #expect(result.contains(#""effective": false"#), "\(result)")
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
      let result = try await bench.takeOrders(after: "grant BO to ANA \(options)")
      guard let how else {
        #expect(!result.contains("residual_access"), "\(result)")
        return
      }
      #expect(result.contains(#""how": "\#(how)", "via": "\#(bench.named("BO"))""#), "\(result)")
    }
  }

  @Test func membershipInAnotherUsersRoleIsARoute() async throws {
    try await Bench.run { bench in
      let result = try await bench.takeOrders(after: "grant BO to ANA")
      #expect(result.contains(bench.named(#""via": "BO", "route": "membership""#)), "\(result)")
    }
  }

  @Test func aRevokeOfWriteNamesWhatIsLeftBeyondReading() async throws {
    try await Bench.run { bench in
      let result = try await bench.takeOrders(.write, after: "grant select, insert on sales.orders to public")
      #expect(result.contains(#""privileges": "INSERT""#), "\(result)")
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

  @Test func aCleanRevokeNamesNone() async throws {
    try await Bench.run { bench in
      let result = try await bench.takeOrders(after: "")
      #expect(!result.contains("residual_access"), "\(result)")
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

  /// Through an audience or by the user's own name: what Sluice opens is no residual access, and what others open is.
  @Test(arguments: [true, false])
  func whatSluiceGivesOnAViewIsNotResidual(byPolicy: Bool) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let views = ["sales.v1", "sales.v2"]
      for view in views {
        try await bench.target.execute(
          "create view \(view) as select * from sales.orders; alter view \(view) owner to \(bench.target.owner); "
            + "grant select on \(view) to \(bench.target.grantor) with grant option")
      }
      try await bench.sync()
      if byPolicy {
        try await bench.addGroup("viewers", [ana, try await bench.addUser("bo")])
        try await bench.applyPolicy("viewers-view", "'viewers' in user.groups", schema: "sales", table: "v*")
        try await bench.evaluate()
        #expect(try await bench.target.grants(to: ana).isEmpty)
      } else {
        try await bench.subscribe(ana, to: views)
      }
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      func explained() async throws -> Explanation.TargetAccess {
        let explanation = try await bench.explainer.explain(user: ana, path: try bench.path("sales", "orders"))
        return try #require(explanation.target)
      }
      #expect(try await explained().residual.isEmpty)
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.result?.contains("residual_access") == false, "\(job.result ?? "")")
      #expect(try await explained().residual.isEmpty)
      #expect(try await explained().routes.count { $0.route == "view" } == 2)
      #expect(try await bench.planner.drift(bench.connection).isEmpty)

      try await bench.target.execute("grant select on sales.v1 to public")
      #expect(try await explained().residual.map(\.route) == ["view"])
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.revoke(ana, from: ["sales.orders"])
      let results = try await bench.drain().compactMap(\.result)
      #expect(results.contains { $0.contains(#""object": "sales.v1""#) }, "\(results)")
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
  /// Takes `sales.orders` from ana, who has it as bo has, once a script has run that may give it otherwise.
  ///
  /// - Returns: the result of the revoke
  fileprivate func takeOrders(_ access: AccessLevel = .read, after script: String) async throws -> String {
    let ana = try await makeSales()
    for user in [ana, try await addUser("bo")] { try await subscribe(user, to: ["sales.orders"], access) }
    try await drain()
    try await target.execute(named(script))
    try await revoke(ana, from: ["sales.orders"], access == .write ? .write : nil)
    let job = try #require(try await drain().last)
    #expect(job.state == .completed)
    return job.result ?? ""
  }

  /// With the names of the test's roles and of its database for ANA, BO, OWNER and MAIN.
  fileprivate func named(_ text: String) -> String {
    text.replacing("OWNER", with: target.owner).replacing("MAIN", with: target.database)
      .replacing("ANA", with: "\(target.prefix)_ana").replacing("BO", with: "\(target.prefix)_bo")
  }

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
