import JobQueue
import RedisTestKit
import Testing

/// Nobody who waits is passed over for long: see `TurnRun`. The model repeats the arithmetic of the scripts, so it shows
/// that they do what was meant; this shows that what was meant is fair.
@Suite(.timeLimit(.minutes(5)))
struct TurnTests {
  static let seeds = UInt64(1)...24
  static let leases = 400

  @Test(arguments: seeds) func nobodyIsPassedOverForLong(seed: UInt64) async throws {
    try await PrivateRedis.run { redis async throws in
      var run = TurnRun(redis: redis, seed: seed)
      try await run.run(leases: Self.leases)
    }
  }
}
