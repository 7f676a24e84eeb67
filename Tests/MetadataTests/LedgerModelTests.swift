import Metadata
import Platform
import Testing

/// Random operations against the real ledger and the model, with two producers whose transactions stay open meanwhile.
/// After each, every job must be what the model says, and an unfinished one that Redis was not told of in this epoch
/// must still be to be told. A failure names its seed; put it into `arguments` to see it again.
@Suite(.timeLimit(.minutes(5)))
struct LedgerModelTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func theLedgerDoesWhatTheModelDoes(seed: UInt64) async throws {
    try await Fixture.run { fixture in
      let run = try await LedgerRun(fixture, seed: seed)
      for step in 1...600 {
        let action = try await run.step()
        let faults = try await run.faults()
        guard !faults.isEmpty else { continue }
        Issue.record("seed \(seed), step \(step), \(action): \(faults.joined(separator: "; "))")
        break
      }
      await run.end()
    }
  }
}
