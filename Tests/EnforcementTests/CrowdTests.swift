import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Testing

/// Schemas and databases in which more users hold something directly than an access control list should have entries.
@Suite(.timeLimit(.minutes(4)))
struct CrowdTests {
  private static let tables = (0..<5).map { "crowd.t\($0)" }

  @Test func threeThousandUsersReadATableEachInOneSchema() async throws {
    try await Bench.run { bench in
      let tables = (0..<100).map { "crowd.t\($0)" }
      let users = try await bench.makeCrowd(3_000, tables)
      for start in stride(from: 0, to: users.count, by: 1_000) {
        _ = try await bench.apply(try bench.requests(.subscribe, Array(users[start..<start + 1_000]), tables))
        try await bench.drainWell()
      }
      for (number, table) in tables.enumerated() {
        let readers = users.indices.filter { $0 % tables.count == number }.map { users[$0] }
        #expect(try await bench.refused(readers, table) == 0)
      }
      let counts = try await bench.entrantCounts("crowd")
      #expect(counts.allSatisfy { $0 < 10 }, "\(counts)")
      #expect(try await bench.target.grants(to: users[0]) == ["table crowd.t0 SELECT"])
      let before = try await bench.target.catalogVersions()
      try await bench.sync()
      #expect(try await bench.target.catalogVersions() == before, "a second look writes nothing")
      #expect(try await bench.planner.plan(bench.connection).isEmpty)

      try await bench.revokeAll([users[0]], from: "crowd.t0")
      let jobs = try await bench.drainWell()
      #expect(jobs.allSatisfy { $0.scope.subject != .residual }, "USAGE alone lets nobody read anything")
      #expect(try await bench.hasAnything(users[0], in: "crowd") == false)
      #expect(try await bench.refused([users[100]], "crowd.t0") == 0)
    }
  }

  @Test func nobodyIsRefusedWhileASchemaIsPromotedAndDemoted() async throws {
    try await Bench.run { bench in
      let users = try await bench.makeCrowd(250, Self.tables)
      let (first, more) = (Array(users[..<150]), Array(users[150...]))
      _ = try await bench.apply(try bench.requests(.subscribe, first, Self.tables))
      try await bench.drainWell()
      #expect(try await bench.audienceRoles() == [])
      #expect(try await bench.entrantCounts("crowd").allSatisfy { $0 >= 150 })

      try await bench.readingCrowd(first) {
        _ = try await bench.apply(try bench.requests(.subscribe, more, Self.tables))
        try await bench.compare(.database)
        try await bench.drainWell()
      }
      #expect(try await bench.refusedInCrowd(users) == 0)
      #expect(try await bench.entrantCounts("crowd").allSatisfy { $0 < 10 })
      let audiences = try await bench.audienceRoles()
      #expect(audiences.count == 2)
      #expect(try await bench.target.grants(to: users[0]) == ["table crowd.t0 SELECT"])
      #expect(try await bench.planner.plan(bench.connection).isEmpty)

      try await bench.readingCrowd(Array(first[..<90])) {
        _ = try await bench.apply(try bench.requests(.revoke, Array(users[90...]), Self.tables))
        try await bench.compare(.roles)
        try await bench.drainWell()
      }
      #expect(try await bench.refusedInCrowd(users) == 160)
      #expect(try await bench.audienceRoles() == [])
      for audience in audiences { #expect(try await bench.target.roleExists(audience) == false) }
      #expect(
        try await bench.target.grants(to: users[0])
          == ["table crowd.t0 SELECT", "schema crowd USAGE", "database this CONNECT"])
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }

  @Test func withoutARoleBudgetWhoeverIsOneTooManyIsRefused() async throws {
    try await Bench.run { bench in
      let users = try await bench.makeCrowd(305, Self.tables)
      try await bench.setRoleBudget(0)
      _ = try await bench.apply(try bench.requests(.subscribe, Array(users[..<300]), Self.tables))
      try await bench.drainWell()
      let error = await #expect(throws: MetadataError.self) {
        try await bench.apply(try bench.requests(.subscribe, Array(users[300...]), Self.tables))
      }
      #expect(error?.code == .refused, "\(error as Any)")
      #expect(error?.message.contains("a schema of \(bench.connection.name)") == true, "\(error as Any)")
      #expect(error?.message.contains("--role-budget") == true)
      #expect(try await bench.refusedInCrowd(users) == 5)
      try await bench.setRoleBudget(2)
      _ = try await bench.apply(try bench.requests(.subscribe, Array(users[300...]), Self.tables))
      try await bench.drainWell()
      #expect(try await bench.refusedInCrowd(users) == 0)
      #expect(try await bench.entrantCounts("crowd").allSatisfy { $0 < 10 })
    }
  }

  @Test func aPlanOfACrowdRunByHandLeadsToTheSameState() async throws {
    try await Bench.run { bench in
      let users = try await bench.makeCrowd(210, Self.tables)
      _ = try await bench.apply(try bench.requests(.subscribe, users, Self.tables))
      try await bench.runByHand(try await bench.planner.plan(bench.connection).map { try $0.script() }.joined())
      #expect(try await bench.refusedInCrowd(users) == 0)
      #expect(try await bench.entrantCounts("crowd").allSatisfy { $0 < 10 })
      let versions = try await bench.target.catalogVersions()
      try await bench.drainWell()
      #expect(try await bench.target.catalogVersions() == versions, "the run had nothing left to do")
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }

  /// What carries everybody's USAGE is ours: taken away by hand it comes back, and deleting the connection takes it.
  @Test func aCrowdsWayInIsMendedAndLeavesWithTheConnection() async throws {
    try await Bench.run { bench in
      let users = try await bench.makeCrowd(205, Self.tables)
      _ = try await bench.apply(try bench.requests(.subscribe, users, Self.tables))
      try await bench.drainWell()
      #expect(try await bench.relationsToCompare(of: users[0]) == [], "nothing is read that is as it should be")
      let audiences = try await bench.audienceRoles()
      for audience in audiences {
        try await bench.target.execute(
          "set role \(bench.target.manager); revoke usage on schema crowd from \(audience);"
            + "revoke connect on database \(bench.target.database) from \(audience)")
      }
      #expect(try await bench.refusedInCrowd(users) == 205)
      #expect(try await bench.planner.plan(bench.connection).flatMap(\.statements).count == 2)
      try await bench.compare(.database)
      #expect(try await bench.refusedInCrowd(users) == 0)
      try await bench.target.execute(
        "set role \(try await bench.policyRole()); revoke \(audiences.joined(separator: ", ")) from \(users[0])")
      #expect(try await bench.refusedInCrowd(users) == 1)
      try await bench.compare(.roles)
      #expect(try await bench.refusedInCrowd(users) == 0)

      let plan = try await bench.planner.planLeave(bench.connection)
      #expect(Set(plan.drops).isSuperset(of: audiences) && plan.kept.isEmpty, "\(plan.kept)")
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      for audience in audiences { #expect(try await bench.target.roleExists(audience) == false) }
      #expect(try await bench.hasAnything(users[0], in: "crowd") == false)
    }
  }

  /// Its subscribers are members of the schema's audience all the while, whether they hold it directly or not.
  @Test func aTableOfACrowdIsPromotedAndDemotedAndNobodyIsRefused() async throws {
    try await Bench.run { bench in
      let users = try await bench.makeCrowd(250, Self.tables)
      _ = try await bench.apply(try bench.requests(.subscribe, users, Self.tables))
      try await bench.drainWell()
      let readers = Array(users[..<90])
      try await bench.subscribeAll(readers, to: "crowd.t0")
      try await bench.drainWell()
      try await bench.readingBy(readers, "crowd.t0") {
        try await bench.subscribeAll(Array(users[90...]), to: "crowd.t0")
        try await bench.compare(.roles)
        try await bench.drainWell()
      }
      #expect(try await bench.audienceRoles().count == 3)
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
      try await bench.readingBy(readers, "crowd.t0") {
        try await bench.revokeAll(Array(users[90...]), from: "crowd.t0")
        try await bench.compare(.roles)
        try await bench.drainWell()
      }
      #expect(try await bench.refused(Array(users[90...]), "crowd.t0") == 160)
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }
}

extension Bench {
  /// Users whose roles exist, and empty tables of the schema `crowd`.
  fileprivate func makeCrowd(_ count: Int, _ tables: [String]) async throws -> [String] {
    _ = try await makeSales()
    try await target.createSchema("crowd")
    try await target.createTables(tables)
    try await sync()
    return try await addUsers(count)
  }

  @discardableResult
  fileprivate func drainWell() async throws -> [Job] {
    let jobs = try await drain()
    #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error).first ?? "")")
    return jobs
  }

  fileprivate func refusedInCrowd(_ users: [String]) async throws -> Int {
    try await refused(users, "crowd.t0", "crowd.t1", "crowd.t2", "crowd.t3", "crowd.t4")
  }

  fileprivate func readingCrowd(_ users: [String], _ body: @escaping @Sendable () async throws -> Void) async throws {
    try await readingBy(users, "crowd.t0", "crowd.t1", "crowd.t2", "crowd.t3", "crowd.t4", body: body)
  }

  fileprivate func hasAnything(_ user: String, in schema: String) async throws -> Bool {
    try await target.rows(
      """
      select from pg_roles where rolname = $1
        and (has_schema_privilege(oid, $2, 'USAGE') or has_database_privilege(oid, current_database(), 'CONNECT'))
      """, [.text(user), .text(schema)]
    ).isEmpty == false
  }
}
