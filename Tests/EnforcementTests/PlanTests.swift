import Foundation
import Glibc
import Governance
import LocalServers
import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct PlanTests {
  @Test func planIsWhatTheRunThenDoes() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let before = try await bench.statements().count
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.subscribe(bo, to: ["sales.orders", "sales.items"])
      let plans = try await bench.planner.plan(bench.connection)
      #expect(plans.map(\.database) == [bench.target.database])
      let planned = try #require(plans.first).statements
      #expect(planned.count == 9)
      try await bench.drain()
      let done = try await bench.statements().dropFirst(before)
      #expect(Array(done).sorted() == planned.sorted())
    }
  }

  @Test func planIsEmptyOnceConverged() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let plans = try await bench.planner.plan(bench.connection)
      #expect(plans.isEmpty, "\(plans)")
    }
  }

  @Test func planShowsDriftInMemberships() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.execute("set role \(try await bench.policyRole()); revoke \(audience) from \(ana)")
      let plans = try await bench.planner.plan(bench.connection)
      #expect(plans.map(\.database) == [nil])
      let (server, role) = (bench.target.server, try await bench.policyRole())
      let grant = #"GRANT "\#(audience)" TO "\#(ana)""#
      #expect(
        plans.flatMap(\.statements)
          == (server.hasMembershipOptions
            ? [#"SET ROLE "\#(role)""#, grant + " WITH INHERIT TRUE, SET FALSE", "RESET ROLE"] : [grant]))
    }
  }

  @Test func planWritesNothing() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      let before = try await bench.target.catalogVersions()
      _ = try await bench.planner.plan(bench.connection)
      #expect(try await bench.target.catalogVersions() == before)
      #expect(try await bench.target.roleExists(ana) == false)
    }
  }

  @Test func planRunByHandLeadsToTheSameState() async throws {
    try await Bench.run { bench in
      // Everything at once: roles to make, an audience, direct grants, revokes, and prerequisites that leave.
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.target.createSchema("hr")
      try await bench.target.createTables(["hr.people"])
      try await bench.sync()
      try await bench.subscribe(ana, to: ["hr.people"], .write)
      try await bench.drain()
      try await bench.addGroup("analysts", [ana, bo])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      _ = try await bench.metadata.transaction { try await $0.submitEvaluations(of: [bench.connection.id]) }
      try await bench.runEvaluations()
      try await bench.revoke(ana, from: ["hr.people"])
      try await bench.subscribe(bo, to: ["hr.people", "sales.orders"], .write)
      let plans = try await bench.planner.plan(bench.connection)
      let changes = plans.flatMap(\.statements).filter { $0 != "RESET ROLE" && !$0.hasPrefix("SET ROLE") }
      #expect(Set(changes).count == changes.count, "nothing twice")
      try await bench.runByHand(try plans.map { try $0.script() }.joined())
      let after = try await bench.planner.plan(bench.connection)
      #expect(after.isEmpty, "\(after.flatMap(\.statements))")
      let versions = try await bench.target.catalogVersions()
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.catalogVersions() == versions, "the run had nothing left to do")
      #expect(try await bench.target.canWrite(bo, "hr.people"))
      #expect(try await bench.target.canRead(ana, "sales.items"))
      #expect(try await bench.target.canRead(ana, "hr.people") == false)
      let marked = try await bench.target.rows(
        "select from pg_shdescription d join pg_roles r on r.oid = d.objoid where r.rolname = $1 and d.description like 'sluice %'",
        [.text(bo)])
      #expect(marked.count == 1)
    }
  }

  @Test func whatNothingNeedsAnyMoreIsDroppedLast() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.addGroup("clerks", [ana, bo])
      try await bench.applyPolicy("clerks-write", "'clerks' in user.groups", schema: "sales", access: .write)
      try await bench.evaluate()
      let audiences = try await bench.audienceRoles()
      #expect(audiences.count == 2)
      for audience in audiences { #expect(try await bench.target.roleExists(audience)) }
      try await bench.execute("delete from policy")
      _ = try await bench.metadata.transaction { try await $0.submitEvaluations(of: [bench.connection.id]) }
      try await bench.runEvaluations()
      let plans = try await bench.planner.plan(bench.connection)
      let last = try #require(plans.last)
      let names = audiences.map { "\"\($0)\"" }.joined(separator: ", ")
      #expect(last.database == nil && last.statements == ["DROP ROLE \(names)"], "\(plans.flatMap(\.statements))")
      let table = try await bench.planner.plan(bench.connection, below: try bench.path("sales", "orders"))
      #expect(!table.flatMap(\.statements).contains { $0.hasPrefix("DROP") })

      try await bench.runByHand(try plans.map { try $0.script() }.joined())
      for audience in audiences { #expect(try await bench.target.roleExists(audience) == false) }
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
      let versions = try await bench.target.catalogVersions()
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.catalogVersions() == versions, "the run had nothing left to do")
      #expect(try await bench.audienceRoles() == [])
    }
  }

  /// A run would not drop it either.
  @Test func whatOthersStillUseIsNotDropped() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.execute(
        "set role \(bench.target.owner); grant insert on sales.orders to \(audience)")
      try await bench.execute("delete from policy")
      _ = try await bench.metadata.transaction { try await $0.submitEvaluations(of: [bench.connection.id]) }
      try await bench.runEvaluations()
      let plans = try await bench.planner.plan(bench.connection)
      #expect(!plans.isEmpty && !plans.flatMap(\.statements).contains { $0.hasPrefix("DROP") })
      try await bench.drain()
      #expect(try await bench.target.roleExists(audience))
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }

  @Test func planOfATableOrASchemaIsAboutThatAlone() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createSchema("hr")
      try await bench.target.createTables(["hr.people"])
      try await bench.sync()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items", "hr.people"])
      let table = try await bench.planner.plan(bench.connection, below: try bench.path("sales", "orders"))
      #expect(table.flatMap(\.statements).filter { $0.contains("ON TABLE") }.map { $0.contains("items") } == [false])
      let parts = [bench.connection.name, bench.target.database, "sales"]
      let schema = try await bench.planner.plan(bench.connection, below: try SecurablePath(parts: parts))
      let grants = schema.flatMap(\.statements).filter { $0.contains("ON TABLE") || $0.contains("ON SCHEMA") }
      #expect(grants.count == 2 && grants.allSatisfy { $0.contains("sales") && !$0.contains("hr") }, "\(grants)")
    }
  }
}

extension Bench {
  /// Runs the evaluations that are due, and nothing of what they submit.
  fileprivate func runEvaluations() async throws {
    let due = try await metadata.read { session in
      try await session.connection.query(
        "select lane_id, array_agg(id) as ids from job where kind = 'evaluate' and state = 'available' group by lane_id"
      ).rows.map { (try $0.int("lane_id"), try $0.intArray("ids")) }
    }
    for (lane, ids) in due { try await run(ids, lane: lane) }
  }

  /// Runs a script with psql as the role that Sluice logs in as.
  func runByHand(_ script: String) async throws {
    let file = "/tmp/sluice-plan-\(UInt64.random(in: 0 ... .max)).sql"
    try script.write(toFile: file, atomically: true, encoding: .utf8)
    defer { unlink(file) }
    let server = target.server.postgres
    let run = try await ToolRun.run(
      Launch(
        server.options.installation.program("psql"),
        [
          "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.socketDirectory, "-p", "\(server.port)",
          "-U", target.manager, "-d", target.database, "-f", file,
        ], environment: Launch.bareEnvironment()), deadline: .after(.seconds(30)))
    #expect(run.status == .exited(0), "\(run.output)")
  }
}
