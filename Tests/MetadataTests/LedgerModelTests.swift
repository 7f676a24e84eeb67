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

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
