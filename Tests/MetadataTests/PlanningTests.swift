import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

/// Planning a statement of the job's way for each of its runs takes longer than running it for one job. The server plans
/// once and for all if a plan for any values seems no worse than one for those of the first five runs.
@Suite(.timeLimit(.minutes(2)))
struct PlanningTests {
  @Test func whatEachJobNeedsIsNotPlannedForEachJob() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      try await fixture.metadata.dedicated { session in
        for sequence in Int64(1)...10 {
          let job = try await session.submit([
            JobRequest(lane: lane, kind: .subscribe, jobClass: .interactive, scope: .grantee("r\(sequence)"))
          ])[0].id
          #expect(try await session.takeOutbox(.interactive, epoch: 1, limit: 1000).jobs.map(\.id) == [job])
          let fence = Fence(epoch: 1, sequence: sequence)
          let claimed = try await session.claim([job], fence: fence, worker: "w").claimed
          #expect(claimed.map(\.id) == [job])
          _ = try await session.settle([JobResult(id: job, outcome: .completed)], fence: fence)
        }
        let plans = try await session.connection.query(
          "select left(statement, 60) as what, custom_plans, generic_plans from pg_prepared_statements"
        ).rows
        #expect(plans.count >= 4)
        for plan in plans {
          let what = try plan.text("what")
          #expect(try plan.int("custom_plans") <= 5, "planned each time: \(what)")
        }
      }
    }
  }

  @Test func tablesThatHaveJustGrownAreKnownToThePlanner() async throws {
    try await Fixture.run { fixture in
      func estimate() async throws -> Double {
        try await fixture.rows("select reltuples::double precision as n from pg_class where relname = 'identity'")[0]
          .double("n")
      }
      for (added, isKnown) in [(999, false), (1000, true)] {
        try await fixture.write { session in
          _ = try await session.connection.query(
            "insert into identity (name) select 'p' || $1::bigint || '.' || n from generate_series(1, $1::bigint) n",
            [.int(added)])
          try await session.collectStatistics(of: "identity", changedRows: added)
        }
        #expect(try await (estimate() >= 1000) == isKnown)
      }
    }
  }
}
