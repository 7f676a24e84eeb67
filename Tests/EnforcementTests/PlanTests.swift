import Governance
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
}
