import Governance
import Metadata
import SluiceTestKit
import Testing

/// Which entries of an access control list are Sluice's, where it shares a grantor with people.
@Suite(.timeLimit(.minutes(2)))
struct GrantorTests {
  @Test func anOwnersOwnPrivilegesStay() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSalesAsSuperuser()
      try await bench.target.execute("create role \(ana); alter table sales.orders owner to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
    }
  }

  @Test func aSuperusersRevokeReportsWhatAnotherGrantorGave() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSalesAsSuperuser()
      let other = "\(bench.target.prefix)_other"
      try await bench.target.execute(
        "create role \(ana); create role \(other); grant usage on schema sales to \(other);"
          + "grant select on sales.orders to \(other) with grant option;"
          + "set role \(other); grant select on sales.orders to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last { $0.kind == .revoke })
      #expect(job.state == .completed)
      #expect(job.result?.contains("\"grantor\": \"\(other)\"") == true, "\(job.result ?? "")")
    }
  }

  @Test func grantsAreMadeAndTakenThroughARoleThatSluiceInherits() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let (manager, group) = (bench.target.manager, "\(bench.target.prefix)_group")
      try await bench.target.execute(
        "revoke all on sales.orders from \(manager) cascade; create role \(group); grant \(group) to \(manager);"
          + "grant usage on schema sales to \(group) with grant option;"
          + "grant select, insert, update, delete, truncate on sales.orders to \(group) with grant option")
      try await bench.subscribe(ana, to: ["sales.orders"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      try await bench.revoke(ana, from: ["sales.orders"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  /// PostgreSQL leaves what was granted by an option that the grantor still has through another role. A REVOKE acts as
  /// that role, and does nothing.
  @Test func whatCanNoLongerBeTakenBackIsToldWithItsGrantor() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      let (manager, group) = (bench.target.manager, "\(bench.target.prefix)_group")
      try await bench.target.execute(
        "create role \(group); grant \(group) to \(manager); grant usage on schema sales to \(group);"
          + "grant select, insert, update, delete, truncate on sales.orders to \(group) with grant option;"
          + "revoke all on sales.orders from \(manager) cascade")
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last { $0.kind == .revoke })
      #expect(job.state == .completed, "\(job.error ?? "")")
      #expect(job.result?.contains("\"grantor\": \"\(manager)\"") == true, "\(job.result ?? "")")
    }
  }

  @Test func aSubscriptionTakesNothingThatSluiceDidNotGive() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSalesAsSuperuser()
      try await bench.target.execute("create role \(ana); grant insert on sales.orders to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.removeUser(ana)
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana).contains("table sales.orders INSERT"))
      #expect(try await bench.target.grants(to: ana).contains("table sales.orders SELECT") == false)
    }
  }

  @Test func aRevokeThatNamesAPairTakesAllThatItsGrantorGave() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSalesAsSuperuser()
      try await bench.target.execute("create role \(ana); grant insert on sales.orders to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func prerequisitesThatSluiceNeverGaveStay() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSalesAsSuperuser()
      try await bench.target.execute(
        "create role \(ana); grant usage on schema sales to \(ana);"
          + "grant connect on database \(bench.target.database) to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == ["schema sales USAGE", "database this CONNECT"])
    }
  }

  @Test(
    arguments: [
      "grant select (v) on sales.items to ANA", "grant references on sales.items to ANA",
      "create function sales.one() returns int language sql as 'select 1'; grant execute on function sales.one() to ANA",
    ])
  func usageStaysWhileSomethingElseNeedsIt(script: String) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana); \(script.replacing("ANA", with: ana))")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana).isSuperset(of: ["schema sales USAGE", "database this CONNECT"]))
    }
  }
}

extension Bench {
  /// `makeSales`, with a login that acts as the owner of everything.
  fileprivate func makeSalesAsSuperuser() async throws -> String {
    // Synced before: a superuser would see the databases of all tests.
    let ana = try await makeSales()
    try await target.execute("alter role \(target.manager) superuser")
    return ana
  }
}
