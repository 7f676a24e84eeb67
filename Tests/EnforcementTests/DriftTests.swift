import Governance
import Metadata
import SluiceTestKit
import Testing

/// What somebody changed behind our back, and what a changed connection means.
@Suite(.timeLimit(.minutes(2)))
struct DriftTests {
  @Test func aGrantThatSomebodyTookAwayIsGivenBackByTheNextSync() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute(
        "set role \(bench.target.manager); revoke select on sales.orders from \(ana)")
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func aMemberWhomSomebodyTookOutIsPutBackByTheNextSync() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      try await bench.target.execute("set role \(try await bench.policyRole()); revoke \(audience) from \(ana)")
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func aSyncLeavesGrantsThatPeopleMade() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("set role \(bench.target.manager); grant select on sales.items to \(ana)")
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.items"))
    }
  }

  @Test func dataSourcesThatAnUpdateDisablesAreRevokedAndGivenBack() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.enableNewDataSources(false)
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.target.canRead(bo, "sales.orders") == false)
      try await bench.enableNewDataSources(true)
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
      #expect(try await bench.target.canRead(bo, "sales.orders"))
    }
  }
}

extension Bench {
  fileprivate func enableNewDataSources(_ isEnabled: Bool) async throws {
    _ = try await metadata.transaction { session in
      var changed = try await session.connection(id: self.connection.id)
      changed.enablesNewDataSources = isEnabled
      return try await session.update(changed)
    }
    try await drain()
  }
}
