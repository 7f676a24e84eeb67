import Enforcement
import Platform
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct RestingSessionTests {
  @Test func batchesOfADatabaseShareASessionWhichEndsSoon() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let first = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      var limits = TargetLimits()
      limits.longestRest = .milliseconds(500)
      let lanes = bench.lanes(limits: limits)
      let open = try await lanes.open(lane: first.lane)
      await open.close()
      let rested = try await bench.target.sessions()
      #expect(rested.count == 1)
      let again = try await lanes.open(lane: first.lane)
      #expect(try await bench.target.sessions() == rested, "the same session")
      let other = try await lanes.open(lane: first.lane)
      #expect(try await bench.target.sessions().count == 2, "it is lent once at a time")
      await again.close()
      await other.close()
      let limit = Deadline.after(.seconds(30))
      while try await !bench.target.sessions().isEmpty, !limit.hasPassed {}
      #expect(try await bench.target.sessions() == [])
    }
  }

  @Test func aSessionThatTheTargetHasEndedIsNotUsed() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      var limits = TargetLimits()
      limits.longestRest = .seconds(60)
      let lanes = bench.lanes(limits: limits)
      await (try await lanes.open(lane: job.lane)).close()
      let rested = try await bench.target.sessions()
      try await bench.target.execute("select pg_terminate_backend(\(rested[0]), 5000)")
      let open = try await lanes.open(lane: job.lane)
      let claim = try await bench.metadata.transaction { [fence = bench.nextFence()] in
        try await $0.claim([job.id], fence: fence, worker: "w")
      }
      #expect(try await lanes.run(claim.claimed, in: open).map(\.outcome) == [.completed])
      await open.close()
    }
  }
}

extension TestTarget {
  /// The manager's sessions in the target, by process id.
  fileprivate func sessions() async throws -> [Int64] {
    try await rows(
      "select pid::bigint as pid from pg_stat_activity where usename = $1 order by 1", [.text(manager)]
    ).map { try $0.int("pid") }
  }
}
