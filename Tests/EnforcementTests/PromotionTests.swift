import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Synchronization
import Testing

/// The ways between direct grants and audiences: what a user may do does not depend on the form, at any moment.
@Suite(.timeLimit(.minutes(4)))
struct PromotionTests {
  @Test func threeThousandUsersReadOneTable() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(3_000)
      try await bench.subscribeAll(users, to: "sales.orders")
      let jobs = try await bench.drain()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error).first ?? "")")
      #expect(try await bench.refused(users, "sales.orders") == 0)
      #expect(try await bench.granteeCount("sales.orders") <= 4)
    }
  }

  @Test func nobodyIsRefusedWhileATableIsPromotedAndDemoted() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(250)
      let (first, more) = (Array(users[..<150]), Array(users[150...]))
      try await bench.subscribeAll(first, to: "sales.orders")
      try await bench.drain()
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.granteeCount("sales.orders") > 150)

      try await bench.readingBy(first, "sales.orders") {
        try await bench.subscribeAll(more, to: "sales.orders")
        try await bench.compare(.database)
        try await bench.drain()
      }
      #expect(try await bench.refused(users, "sales.orders") == 0)
      #expect(try await bench.granteeCount("sales.orders") <= 4)
      let audience = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.grants(to: users[0]) == [])

      try await bench.readingBy(Array(first[..<90]), "sales.orders") {
        try await bench.revokeAll(Array(users[90...]), from: "sales.orders")
        try await bench.compare(.roles)
        try await bench.drain()
      }
      #expect(try await bench.refused(users, "sales.orders") == 160)
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.target.grants(to: users[0]).contains("table sales.orders SELECT"))
    }
  }

  @Test func subscribersOfAPromotedTableComeAndGoAsMembers() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let users = try await bench.addUsers(201)
      try await bench.subscribeAll(users, to: "sales.orders")
      try await bench.drain()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      #expect(try await bench.target.grants(to: ana) == [])
      let before = try await bench.target.catalogVersions()
      try await bench.sync()
      #expect(try await bench.target.catalogVersions() == before, "a second look writes nothing")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.refused(users, "sales.orders") == 0)
    }
  }

  @Test func aGuardrailTakesSubscribersOutOfAPromotedTable() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(260)
      try await bench.subscribeAll(users, to: "sales.orders")
      try await bench.drain()
      try await bench.addGroup("cleared", Array(users[..<210]))
      try await bench.applyPolicy("cleared", "'cleared' in user.groups", schema: "sales", effect: .guardrail)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 50)
      #expect(try await bench.refused(Array(users[..<210]), "sales.orders") == 0)
    }
  }

  @Test func anAudienceOfFewIsDirectAndNobodyIsRefusedWhenItGrowsAndShrinks() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(20)
      try await bench.addGroup("analysts", [users[0]])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales", table: "orders")
      try await bench.evaluate()
      let role = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.roleExists(role) == false)
      #expect(try await bench.target.grants(to: users[0]).contains("table sales.orders SELECT"))

      try await bench.readingBy([users[0]], "sales.orders") {
        try await bench.joinGroup("analysts", Array(users[1...]))
        try await bench.storeAudiences()
        try await bench.compare(.database)
        try await bench.drain()
      }
      #expect(try await bench.target.grants(to: role).contains("table sales.orders SELECT"))
      #expect(try await bench.target.grants(to: users[0]) == [])
      #expect(try await bench.refused(users, "sales.orders") == 0)

      try await bench.readingBy([users[0]], "sales.orders") {
        for user in users[1...] { try await bench.leaveGroup("analysts", user) }
        try await bench.storeAudiences()
        try await bench.compare(.roles)
        try await bench.drain()
      }
      #expect(try await bench.target.roleExists(role) == false)
      #expect(try await bench.refused(users, "sales.orders") == 19)

      try await bench.leaveGroup("analysts", users[0])
      try await bench.evaluate()
      #expect(try await bench.target.grants(to: users[0]) == [])
    }
  }

  @Test func whatDoesNotFitTheRoleBudgetIsDeniedAndReportedUntilThereIsRoom() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let users = try await bench.addUsers(210)
      try await bench.addGroup("analysts", users)
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      try await bench.setRoleBudget(0)
      let jobs = try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 210)
      let evaluation = try #require(jobs.first { $0.kind == .evaluate })
      #expect(evaluation.result?.contains(#""unplaced": [["analysts-read"]]"#) == true, "\(evaluation.result ?? "")")
      try await bench.setRoleBudget(1)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 0)
      try await bench.setRoleBudget(0)
      try await bench.evaluate()
      #expect(try await bench.refused(users, "sales.orders") == 210)
      let role = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.target.roleExists(role) == false)
    }
  }
}

private final class Ending: Sendable {
  let hasCome = Mutex(false)
}

extension Bench {
  /// Users whose roles exist already.
  func addUsers(_ count: Int) async throws -> [String] {
    let names = (0..<count).map { "\(target.prefix)_u\($0)" }
    try await target.execute(
      "do $$ begin for n in 0..\(count - 1) loop execute 'create role \(target.prefix)_u' || n; end loop; end $$")
    try await execute(
      "insert into identity (name) select '\(target.prefix)_u' || n from generate_series(0, \(count - 1)) n order by n")
    return names
  }

  func subscribeAll(_ users: [String], to table: String) async throws {
    _ = try await apply(try requests(.subscribe, users, table))
  }

  fileprivate func revokeAll(_ users: [String], from table: String) async throws {
    _ = try await apply(try requests(.revoke, users, table))
  }

  private func requests(
    _ kind: SubscriptionRequest.Kind, _ users: [String], _ table: String
  ) throws -> [SubscriptionRequest] {
    let parts = table.split(separator: ".").map(String.init)
    let path = try path(parts[0], parts[1])
    return users.map {
      SubscriptionRequest(kind: kind, user: $0, path: path, access: kind == .subscribe ? .read : nil)
    }
  }

  fileprivate func joinGroup(_ name: String, _ users: [String]) async throws {
    _ = try await metadata.transaction { try await $0.changeMembers(of: name, users: users, add: true) }
  }

  fileprivate func setRoleBudget(_ budget: Int) async throws {
    _ = try await metadata.transaction { session in
      var changed = try await session.connection(id: self.connection.id)
      changed.roleBudget = budget
      return try await session.update(changed)
    }
  }

  /// Evaluates, and leaves what that submits for later.
  fileprivate func storeAudiences() async throws {
    _ = try await metadata.transaction { try await Evaluation.run(self.connection.id, parent: nil, in: $0) }
  }

  /// Compares everything in one lane before any other job runs: the lanes run in whatever order they come.
  fileprivate func compare(_ kind: LaneKind) async throws {
    let job = try await metadata.transaction { session in
      let lanes = try await session.lanes(of: self.connection.id)
      let lane = try #require(
        lanes.first { $0.kind == kind && (kind == .roles || $0.databaseName == self.target.database) })
      let request = JobRequest(lane: lane.id, kind: .subscribe, jobClass: .bulk, scope: .everything)
      return try await session.submit([request])[0]
    }
    let results = try await run([job.id], lane: job.lane)
    #expect(results.allSatisfy { $0.outcome == .completed })
  }

  /// How many of the users could not run a SELECT.
  fileprivate func refused(_ users: [String], _ table: String) async throws -> Int {
    Int(try await target.rows(Self.refusals, [.textArray(users), .text(table)])[0].int("refused"))
  }

  private static let refusals = """
    select count(*) as refused from unnest($1::text[]) u
    where not (has_table_privilege(u, $2::text::regclass, 'SELECT')
      and has_schema_privilege(u, split_part($2::text, '.', 1), 'USAGE'))
    """

  /// Asks all the time whether every one of the users may read, while something happens.
  fileprivate func readingBy(
    _ users: [String], _ table: String, _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    let ending = Ending()
    try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        try await self.target.server.withAdmin(self.target.database) { session in
          var (looks, refusals) = (0, 0)
          while !ending.hasCome.withLock({ $0 }) {
            let row = try await session.query(Self.refusals, [.textArray(users), .text(table)]).rows[0]
            refusals += Int(try row.int("refused"))
            looks += 1
          }
          #expect(looks > 1)
          return refusals
        }
      }
      group.addTask {
        defer { ending.hasCome.withLock { $0 = true } }
        try await body()
        return 0
      }
      for try await refusals in group { #expect(refusals == 0) }
    }
  }

  /// Entries in the table's access control list.
  fileprivate func granteeCount(_ table: String) async throws -> Int {
    Int(
      try await target.rows(
        "select count(distinct x.grantee) as n from pg_class c, aclexplode(c.relacl || '{}'::aclitem[]) x where c.oid = $1::text::regclass",
        [.text(table)])[0].int("n"))
  }
}
