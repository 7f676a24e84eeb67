import JobQueue
import RedisTestKit
import Testing

/// Random operations against the scripts and the model. After each, all that Redis keeps must be what the model keeps:
/// each job in one place, one lease a lane, counters equal to a recount, the ready sets exactly the lanes that may be
/// taken. A failure names its seed; put it into `arguments` to see it again.
@Suite(.timeLimit(.minutes(5)))
struct ModelTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func scriptsDoWhatTheModelDoes(seed: UInt64) async throws {
    try await PrivateRedis.run { redis async throws in
      var run = ModelRun(redis: redis, seed: seed)
      try await run.begin()
      for step in 1...500 {
        let action = try await run.step()
        let (actual, expected) = (try await QueueSnapshot.lines(of: run.client), run.model.lines)
        guard actual != expected else { continue }
        let surplus = Set(actual).subtracting(expected).sorted()
        let missing = Set(expected).subtracting(actual).sorted()
        Issue.record("seed \(seed), step \(step), \(action): Redis has \(surplus), the model has \(missing)")
        return
      }
    }
  }
}
