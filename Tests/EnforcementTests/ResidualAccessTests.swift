import Metadata
import SluiceTestKit
import Testing

/// What Sluice cannot take away is said, whatever the route.
@Suite(.timeLimit(.minutes(2)))
struct ResidualAccessTests {
  @Test(
    arguments: [
      ("grant", "set role OWNER; grant select on sales.orders to ANA"),
      ("public", "grant select on sales.orders to public"),
      ("superuser", "alter role ANA superuser"),
      ("ownership", "alter table sales.orders owner to ANA"),
      ("ownership", "grant OWNER to ANA"),
      ("predefined role", "grant pg_read_all_data to ANA"),
    ])
  func aRevokeNamesTheRouteThatIsLeft(route: String, script: String) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute(
        script.replacing("OWNER", with: bench.target.owner).replacing("ANA", with: ana))
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(job.state == .completed)
      #expect(job.result?.contains("\"route\": \"\(route)\"") == true, "\(job.result ?? "")")
      try await bench.target.execute("alter table sales.orders owner to \(bench.target.owner)")
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
