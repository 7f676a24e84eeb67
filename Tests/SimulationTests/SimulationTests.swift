import Foundation
import Testing

/// The real schedulers and workers in a world that is not: one thread, a clock that jumps, and faults drawn by a seed.
/// A failure names its seed; with `SLUICE_SEED=<seed>` the last test shows what led to it, step by step.
/// `SLUICE_SEEDS=<first>-<last>` tries others than those of every day.
@Suite(.timeLimit(.minutes(5)))
struct SimulationTests {
  @Test(arguments: 0..<parts)
  func everyPromiseHoldsUnderEverySeed(part: UInt64) async {
    for seed in seeds where seed % parts == part {
      let world = await simulate(seed)
      #expect(world.violations.isEmpty, "seed \(world.seed): \(world.violations)")
    }
  }

  @Test func aSeedHappensTheSameWayTwice() async {
    let (first, second) = (await simulate(7, keepsTrace: true), await simulate(7, keepsTrace: true))
    let (one, other) = (first.trace ?? [], second.trace ?? [])
    let difference = zip(one, other).first { $0 != $1 }
    if let difference { Issue.record("\(difference)") }
    #expect(one.count == other.count && one.count > 1000)
  }

  @Test(arguments: Mutation.allCases)
  func whatIsBrokenIsFound(mutation: Mutation) async {
    for seed in 0..<UInt64(1000) where await !simulate(seed, mutation: mutation).violations.isEmpty { return }
    Issue.record("\(mutation) was not found")
  }

  @Test(.enabled(if: wantedSeed != nil)) func theTraceOfASeed() async throws {
    let world = await simulate(try #require(wantedSeed), keepsTrace: true)
    print((world.trace ?? []).joined(separator: "\n"))
    #expect(world.violations.isEmpty)
  }
}

private let parts: UInt64 = 4
private let seeds: ClosedRange<UInt64> = {
  let ends = ProcessInfo.processInfo.environment["SLUICE_SEEDS"]?.split(separator: "-").compactMap { UInt64($0) } ?? []
  return ends.count == 2 && ends[0] <= ends[1] ? ends[0]...ends[1] : 0...199
}()
/// The seed whose trace is wanted.
private let wantedSeed = ProcessInfo.processInfo.environment["SLUICE_SEED"].flatMap { UInt64($0) }

private func simulate(_ seed: UInt64, mutation: Mutation? = nil, keepsTrace: Bool = false) async -> World {
  await inWorld(seed, mutation: mutation, keepsTrace: keepsTrace) { Simulation($0).run() }
}

/// Runs one world on a thread that nothing else runs on.
func inWorld(
  _ seed: UInt64, mutation: Mutation? = nil, keepsTrace: Bool = false, _ body: @escaping @Sendable (World) -> Void
) async -> World {
  await withCheckedContinuation { continuation in
    Thread {
      let world = World(seed: seed, mutation: mutation, keepsTrace: keepsTrace)
      body(world)
      continuation.resume(returning: world)
    }.start()
  }
}
