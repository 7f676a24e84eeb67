import SluiceTestKit
import Testing

/// Random desired states over random targets, with random changes of both: when all has settled, what is ours is as
/// desired, everything else is as its people left it, and doing it again writes nothing.
@Suite(.timeLimit(.minutes(5)))
struct PropertyTests {
  private static let rounds = 4
  private static let changesOfRound = 8

  @Test(arguments: PropertySeeds.all)
  func whatIsOursIsAsDesiredAndTheRestIsUntouched(seed: UInt64) async throws {
    try await Bench.run(rights: seed.isMultiple(of: 2) ? .inherited : .own) { bench in
      var world = try await PropertyWorld.make(seed, in: bench)
      for _ in 0..<Self.rounds {
        for _ in 0..<Self.changesOfRound {
          if world.random.once(in: 2) { try await world.changeDesired() } else { try await world.changeTarget() }
          if world.random.once(in: 4) { try await world.work() }
        }
        let foreign = try await world.foreign()
        try await world.settle()
        try await world.check(foreign)
      }
    }
  }
}

extension PropertyWorld {
  /// Some of what is due runs at once, before the next change.
  mutating func work() async throws {
    note("work")
    try await bench.drain()
  }
}
