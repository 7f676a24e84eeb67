import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Testing

/// Evaluations among each other and beside subscriptions: what one reads is never older than what it waited for.
@Suite(.timeLimit(.minutes(2)))
struct EvaluationTests {
  @Test func anEvaluationThatWaitedReadsWhatChangedMeanwhile() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let evaluation = try await bench.metadata.transaction { session in
        // Somebody else's evaluation is under way.
        try await session.lock(connection: bench.connection.id)
        let evaluation = bench.startEvaluation()
        try await bench.waitForALockWaiter()
        _ = try await bench.metadata.transaction { try await $0.removePolicy(named: "analysts-read") }
        return evaluation
      }
      #expect(try await evaluation.value.audiences == 0)
    }
  }

  @Test func anEvaluationSeesTheSubscriptionThatWasMadeByThePoliciesBeforeIt() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let evaluation = try await bench.metadata.transaction { session in
        let request = SubscriptionRequest(
          kind: .subscribe, user: ana, path: try bench.path("sales", "orders"), access: .read)
        let (resolved, _) = try await session.resolve([request])
        _ = try await session.apply(resolved, actor: "test")
        try await bench.applyPolicy("cleared", "'cleared' in user.groups", schema: "sales", effect: .guardrail)
        let evaluation = bench.startEvaluation()
        try await bench.waitForALockWaiter()
        return evaluation
      }
      _ = try await evaluation.value
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      let listed = try await bench.metadata.read { try await $0.subscriptions(user: ana, below: nil) }
      #expect(listed.map(\.barredBy) == ["cleared"])
    }
  }

  @Test func aSyncThatWaitedCrawlsAfterwards() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let sync = try await bench.metadata.transaction { session in
        let database = try await session.securable(
          at: try SecurablePath(parts: [bench.connection.name, bench.target.database]))
        let lane = try await session.lane(ofDatabase: database.id).id
        // Somebody else's sync of the database is under way.
        try await session.lock(lane: lane)
        let sync = bench.startSync(of: database.id, lane: lane)
        try await bench.waitForALockWaiter()
        try await bench.target.createTables(["sales.late"])
        return sync
      }
      #expect(try await sync.value == [.completed])
      #expect(try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "late")).isEnabled })
    }
  }
}

extension Bench {
  // Outlives the transaction that it waits for; every test awaits its value.
  fileprivate func startEvaluation() -> Task<Evaluation.Outcome, any Error> {
    Task {
      try await metadata.transaction { try await Evaluation.run(self.connection.id, parent: nil, in: $0) }
    }
  }

  // As above.
  fileprivate func startSync(of database: Int64, lane: Int64) -> Task<[JobResult.Outcome], any Error> {
    Task {
      let jobs = try await metadata.transaction { session in
        try await session.submit([
          JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .database(database))
        ])
      }
      return try await run(jobs.map(\.id), lane: lane).map(\.outcome)
    }
  }

  /// Waits until a session of the metadata database waits for another one's lock.
  fileprivate func waitForALockWaiter() async throws {
    while true {
      let waiting = try await metadata.read { session in
        try await session.connection.query(
          "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).rows.count
      }
      if waiting > 0 { return }
    }
  }
}
