import Enforcement
import Governance
import Metadata
import Platform
import SluiceTestKit
import Testing

/// The guarantees that may not be traded away, each under the circumstances that would break it.
@Suite(.timeLimit(.minutes(2)))
struct PromiseTests {
  /// The desired state is read under the lane's lock: a job that was claimed before a revoke, and runs after it, must
  /// not bring the access back.
  @Test func aLateSubscribeJobDoesNotUndoARevoke() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let old = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      let late = bench.nextFence()
      let open = try await bench.lanes().open(lane: old.lane)
      let claim = try await bench.metadata.transaction { try await $0.claim([old.id], fence: late, worker: "late") }
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      let results = try await bench.lanes().run(claim.claimed, in: open)
      await open.close()
      #expect(results.map(\.outcome) == [.completed])
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
    }
  }

  @Test func jobsInAnyOrderComeToTheSame() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let first = try await bench.subscribe(ana, to: ["sales.orders"], .write)[0]
      let second = try await bench.revoke(ana, from: ["sales.orders"], .write)[0]
      #expect(first.id != second.id)
      try await bench.run([second.id], lane: second.lane)
      try await bench.run([first.id], lane: first.lane)
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      #expect(try await bench.target.canWrite(ana, "sales.orders") == false)
    }
  }

  @Test func aBatchThatRunsTwiceChangesNothingTheSecondTime() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      let open = try await bench.lanes().open(lane: job.lane)
      let fence = bench.nextFence()
      let claim = try await bench.metadata.transaction { try await $0.claim([job.id], fence: fence, worker: "w") }
      _ = try await bench.lanes().run(claim.claimed, in: open)
      let before = try await bench.target.catalogVersions()
      let again = try await bench.lanes().run(claim.claimed, in: open)
      await open.close()
      #expect(again.map(\.outcome) == [.completed])
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  @Test func publicIsNeverTouched() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("grant select on sales.orders to public; grant usage on schema sales to public")
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      let rows = try await bench.target.rows(
        "select count(*) as n from pg_class c, aclexplode(c.relacl) x where c.oid = 'sales.orders'::regclass and x.grantee = 0"
      )
      #expect(try rows[0].int("n") == 1)
    }
  }

  @Test func whatNobodyKnowsDenies() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.applyPolicy("by-country", "'ch' in user.attributes.country", schema: "sales")
      let jobs = try await bench.evaluate()
      #expect(jobs.allSatisfy { $0.state == .completed })
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
    }
  }

  @Test func disablingADataSourceTakesItFromEverybody() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      let cy = try await bench.addUser("cy")
      try await bench.subscribe(cy, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      try await bench.metadata.transaction { session in
        let orders = try await session.securable(at: try bench.path("sales", "orders"))
        _ = try await session.set(.disabled, on: orders.id)
        guard let changed = try await session.securable(id: orders.id) else { return }
        try await session.submitReach(of: changed)
      }
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      for user in [ana, bo, cy] {
        #expect(try await bench.target.canRead(user, "sales.orders") == false)
        #expect(try await bench.target.canRead(user, "sales.items"))
      }
    }
  }

  @Test func anInactiveConnectionGivesNothingAndReturnsToWhatIsDesired() async throws {
    try await Bench.run { bench in
      let (ana, _) = try await bench.makePolicy()
      let cy = try await bench.addUser("cy")
      try await bench.subscribe(cy, to: ["sales.orders"])
      try await bench.drain()
      _ = try await bench.metadata.transaction { session in
        _ = try await session.setState(of: bench.connection.id, to: .inactive, reason: nil)
        return try await session.submitLeave(of: bench.connection.id)
      }
      try await bench.drain(now: true)
      #expect(try await bench.target.canRead(cy, "sales.orders") == false)
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      _ = try await bench.metadata.transaction { session in
        _ = try await session.setState(of: bench.connection.id, to: .active, reason: nil)
        return try await session.submitReturn(to: bench.connection.id)
      }
      try await bench.drain(now: true)
      #expect(try await bench.target.canRead(cy, "sales.orders"))
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }
}
