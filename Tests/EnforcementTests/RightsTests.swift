import Governance
import Metadata
import SluiceTestKit
import Testing

/// A manager that is no superuser, with grant options of its own and with those of a role like `databricks_superuser`.
@Suite(.timeLimit(.minutes(2)))
struct RightsTests {
  @Test(arguments: TestTarget.Rights.allCases)
  func subscriptionsAndPoliciesAreGivenAndTakenByWhoeverHoldsTheGrantOption(rights: TestTarget.Rights) async throws {
    try await Bench.run(rights: rights) { bench in
      let (ana, bo) = try await bench.makePolicy()
      let cy = try await bench.addUser("cy")
      try await bench.subscribe(cy, to: ["sales.orders"], .write)
      let jobs = try await bench.drain()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      #expect(try await bench.target.canWrite(cy, "sales.orders"))
      #expect(try await bench.grantors(of: "sales.orders") == [bench.target.grantor])
      try await bench.revoke(cy, from: ["sales.orders"])
      try await bench.leaveGroup("analysts", ana)
      let taken = try await bench.evaluate()
      #expect(taken.allSatisfy { $0.state == .completed }, "\(taken.compactMap(\.error))")
      for user in [ana, cy] { #expect(try await bench.target.canRead(user, "sales.orders") == false) }
      #expect(try await bench.target.canRead(bo, "sales.orders"))
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }

  /// Whoever may read all data is never refused: the server grants nothing, and only warns.
  @Test func whatMayBeReadButNotGrantedFailsWithTheRemedy() async throws {
    try await Bench.run(rights: .inherited) { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("revoke all on sales.orders from \(bench.target.grantor) cascade")
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      let jobs = try await bench.drain()
      #expect(jobs.count { $0.state == .completed } == 1 && jobs.count { $0.state == .discarded } == 1)
      let failed = try #require(jobs.first { $0.state == .discarded })
      #expect(failed.remedy?.contains("GRANT OPTION") == true, "\(failed.error ?? "")")
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      #expect(try await bench.target.canRead(ana, "sales.items"))
    }
  }
}

extension Bench {
  /// Who made the entries of others than the owner's own in a table's access control list.
  fileprivate func grantors(of table: String) async throws -> Set<String> {
    let rows = try await target.rows(
      """
      select distinct x.grantor::regrole::text as grantor from pg_class c cross join lateral aclexplode(c.relacl) x
      where c.oid = $1::text::regclass and x.grantor <> c.relowner
      """, [.text(table)])
    return Set(try rows.map { try $0.text("grantor") })
  }
}
