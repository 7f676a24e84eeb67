import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Testing

/// What `sluice drift` tells.
@Suite(.timeLimit(.minutes(2)))
struct DriftSearchTests {
  @Test func aConvergedTargetHasNone() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(try await bench.drift() == [])
    }
  }

  @Test func whatWasLostIsToldAndNothingIsWritten() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.items"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.execute(
        "set role \(try await bench.policyRole()); revoke \(audience) from \(ana); set role \(bench.target.manager);"
          + "revoke insert, delete on sales.items from \(ana); grant truncate on sales.orders to \(audience)")
      let before = try await bench.target.catalogVersions()
      #expect(
        try await bench.drift() == [
          "lost: membership on role \"\(audience)\" to \(ana)",
          "lost: DELETE, INSERT on \"sales\".\"items\" to \(ana)",
          "surplus: TRUNCATE on \"sales\".\"orders\" to \(audience)",
        ])
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  @Test func aChangeWhoseJobHasNotRunIsNoDrift() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.subscribe(bo, to: ["sales.orders"])
      try await bench.drain()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.target.execute(
        "set role \(bench.target.manager); revoke select on sales.orders from \(bo)")
      let entries = try await bench.planner.drift(bench.connection).flatMap(\.drift.entries)
      #expect(entries.filter(\.isPending).map(\.grantee).allSatisfy { $0 == ana })
      #expect(entries.contains { $0.isPending && $0.privileges == "SELECT" })
      #expect(entries.filter { !$0.isPending }.map(\.text) == ["lost: SELECT on \"sales\".\"orders\" to \(bo)"])
    }
  }

  @Test func accessThatNoSubscriptionExplainsIsForeign() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.subscribe(bo, to: ["sales.orders"])
      try await bench.drain()
      let owner = bench.target.owner
      // Bo may read orders anyhow.
      try await bench.target.execute(
        "set role \(owner); grant select on sales.items to \(ana); grant select on sales.orders to \(bo)")
      let text = "foreign: SELECT on \"sales\".\"items\" to \(ana) (grant, granted by \"\(owner)\")"
      #expect(try await bench.drift() == [text])
      #expect(try await bench.drift(below: try bench.path("sales", "items")) == [text])
      #expect(try await bench.drift(below: try bench.path("sales", "orders")) == [])
    }
  }
}

extension Bench {
  func drift(below path: SecurablePath? = nil) async throws -> [String] {
    try await planner.drift(connection, below: path).flatMap(\.drift.unexplained).map(\.text)
  }
}
