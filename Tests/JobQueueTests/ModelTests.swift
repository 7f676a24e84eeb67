import JobQueue
import RedisTestKit
import Testing

/// Random operations against the scripts and the model. After each, all that Redis keeps must be what the model keeps:
/// each job in one place, one lease a lane, counters equal to a recount, the ready sets exactly the lanes that may be
/// taken, in the order in which they will be. A failure names its seed; put it into `arguments` to see it again.
@Suite(.timeLimit(.minutes(5)))
struct ModelTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
  func scriptsDoWhatTheModelDoes(seed: UInt64) async throws {
    try await PrivateRedis.run { redis async throws in
      var run = ModelRun(redis: redis, seed: seed)
      try await run.run(steps: 500, seed: seed)
    }
  }
}
