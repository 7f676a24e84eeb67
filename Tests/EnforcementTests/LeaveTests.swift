import Governance
import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct LeaveTests {
  @Test func deletingAConnectionTakesBackItsGrantsAndRolesInEveryDatabaseAndNothingElse() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("sales", in: other)
      try await bench.target.createTables(["sales.people"], in: other)
      let (ana, bo) = try await bench.makePolicy()
      let stranger = "\(bench.target.prefix)_stranger"
      try await bench.target.execute(
        "create role \(stranger); set role \(bench.target.owner); grant select on sales.items to \(stranger), \(bo)")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)

      try await bench.leave(.deleting)
      try await bench.drain(now: true)

      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
      #expect(try await bench.target.roleExists(audience) == false)
      #expect(try await bench.target.roleExists(ana) == false, "made by Sluice, and nothing refers to it")
      #expect(try await bench.target.roleExists(bo), "somebody else granted to it")
      #expect(try await bench.target.grants(to: bo) == ["table sales.items SELECT"])
      #expect(try await bench.target.grants(to: stranger) == ["table sales.items SELECT"])
    }
  }

  @Test func aRoleThatExistedBeforeIsNotDropped() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana) login")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      #expect(try await bench.target.roleExists(ana))
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aConnectionThatWasNeverSyncedIsDeletedAtOnce() async throws {
    try await Bench.run { bench in
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
    }
  }

  @Test func anInactiveConnectionKeepsItsRolesAndGetsEverythingBackWhenItReturns() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)

      try await bench.leave(.inactive)
      try await bench.drain(now: true)
      #expect(try await bench.target.canRead(bo, "sales.items") == false)
      #expect(try await bench.target.grants(to: ana) == [])
      #expect(try await bench.target.roleExists(audience), "only deleting removes roles")

      try await bench.metadata.transaction { session in
        try await session.setState(of: bench.connection.id, to: .active, reason: nil)
        _ = try await session.submitReturn(to: bench.connection.id)
      }
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(bo, "sales.items"), "as a member of the audience")
      #expect(try await bench.target.canWrite(ana, "sales.orders"))
    }
  }

  @Test func aConnectionWhoseDatabaseCouldNotBeLeftIsNotDeletedAndSaysWhy() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.leave(.deleting)
      try await bench.execute(
        """
        update job set state = 'discarded', error = 'shut out', finished_at = now(), open_key = null
        where scope ->> 'subject' = 'leave' and lane_id in (select id from lane where kind = 'database')
        """)
      let roles = try #require(try await bench.drain(now: true).last)
      #expect(roles.state == .discarded && roles.remedy?.contains("sluice job retry") == true)
      let blocked = try await bench.metadata.read { try await $0.connection(id: bench.connection.id) }
      #expect(blocked.state == .deleting && blocked.stateReason?.contains("shut out") == true)

      let discarded = try await bench.metadata.read { try await $0.jobs(.init(state: .discarded)) }
      for job in discarded where job.lane.kind == .database {
        _ = try await bench.metadata.transaction { try await $0.retryJob(id: job.id) }
      }
      try await bench.drain(now: true)
      #expect(try await bench.metadata.read { try await $0.connection(id: bench.connection.id).state } == .deleted)
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func theNameOfADeletedConnectionIsFree() async throws {
    try await Bench.run { bench in
      try await bench.leave(.deleting)
      try await bench.drain(now: true)
      let again = try await bench.register()
      #expect(again.id != bench.connection.id)
    }
  }
}

extension Bench {
  /// What `connection deactivate` and `connection delete` do.
  func leave(_ state: Connection.State) async throws {
    try await metadata.transaction { session in
      try await session.setState(of: self.connection.id, to: state, reason: "a test")
      _ = try await session.submitLeave(of: self.connection.id)
    }
  }
}
