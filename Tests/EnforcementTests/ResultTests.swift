import Governance
import Metadata
import SluiceTestKit
import Testing

/// Each job of a batch tells of its own, and of nothing that was done for the others.
@Suite(.timeLimit(.minutes(2)))
struct ResultTests {
  @Test func membersAreCountedForWhomAJobIsAbout() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      let spy = "\(bench.target.prefix)_spy"
      try await bench.target.execute(
        """
        create role \(spy); set role \(try await bench.policyRole());
        revoke \(audience) from \(ana), \(bo); grant \(audience) to \(spy)
        """)
      let results = try await bench.compare([ana, bo, spy])
      #expect(results[0].contains("\"members_added\": 1, \"members_removed\": 0"), "\(results[0])")
      #expect(results[1].contains("\"members_added\": 1, \"members_removed\": 0"), "\(results[1])")
      #expect(results[2].contains("\"members_added\": 0, \"members_removed\": 1"), "\(results[2])")
    }
  }

  @Test func whatWasDroppedOrKeptIsToldByItsOwnJob() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.addGroup("editors", [ana, bo])
      try await bench.applyPolicy("editors-write", "'editors' in user.groups", schema: "sales", access: .write)
      try await bench.evaluate()
      let audiences = try await bench.audienceRoles()
      #expect(audiences.count == 2)
      // On 15 our REVOKE takes away what anybody has made of an audience.
      let isKept = bench.target.server.hasMembershipOptions
      let friend = "\(bench.target.prefix)_friend"
      try await bench.target.execute("create role \(friend); grant \(audiences[0]) to \(friend)")
      try await bench.metadata.transaction { session in
        for policy in ["analysts-read", "editors-write"] { _ = try await session.removePolicy(named: policy) }
      }
      let ended = try await bench.evaluate().filter { $0.scope.subject == .retirement }
      for (role, other) in zip(audiences, audiences.reversed()) {
        let result = try #require(ended.first { $0.scope.role == role }?.result)
        #expect(result.contains(role) && !result.contains(other), "\(result)")
        #expect(result.contains("is kept") == (isKept && role == audiences[0]), "\(result)")
      }
      if isKept { try await bench.target.execute("revoke \(audiences[0]) from \(friend)") }
    }
  }

  @Test func notesAndWarningsAreThoseOfTheJob() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      try await bench.target.execute(
        """
        create view sales.both as select o.id from sales.orders o join sales.items i using (id);
        grant select, insert, update, delete on sales.both to \(bench.target.grantor) with grant option;
        revoke grant option for select on sales.items from \(bench.target.grantor) cascade
        """)
      try await bench.sync()
      let jobs =
        try await bench.subscribe(ana, to: ["sales.both", "sales.items"], .write)
        + bench.subscribe(bo, to: ["sales.orders"], .write)
      try await bench.drain()
      var results: [String] = []
      for job in jobs { results.append(try await bench.job(job.id).result ?? "") }
      #expect(results.map { $0.contains("cannot be written") } == [true, false, false], "\(results)")
      #expect(results.map { $0.contains("01007") } == [false, true, false], "\(results)")
    }
  }
}

extension Bench {
  /// Compares the memberships of these roles in one batch; returns the results in their order.
  fileprivate func compare(_ roles: [String]) async throws -> [String] {
    let jobs = try await metadata.transaction { session in
      let lane = try await session.lane(.roles, of: self.connection.id).id
      return try await session.submit(
        roles.map { JobRequest(lane: lane, kind: .subscribe, jobClass: .interactive, scope: .grantee($0)) })
    }
    try await drain()
    var results: [String] = []
    for submitted in jobs { results.append(try await job(submitted.id).result ?? "") }
    return results
  }
}
