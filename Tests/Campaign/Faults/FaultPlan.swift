import RandomTestKit

/// One fault: when, what, to which of several, for how long.
package struct Fault: Sendable, Equatable {
  package let kind: FaultKind
  /// From the beginning of the faults.
  package let at: Duration
  package let length: Duration
  /// Chooses among processes of a kind.
  package let choice: UInt64
}

/// The faults of a seed: every kind once, in random order, then every kind again in another order, until time is up.
package enum FaultPlan {
  /// The part of the time that one round of all kinds may take at most.
  private static let share = 0.8

  /// - Parameters:
  ///   - seconds: how long faults are injected; the last one may end a little later.
  ///   - gap: seconds between two faults on average, less where every kind would not have its turn.
  ///   - lease: seconds that a lease lasts without being renewed.
  package static func make(kinds: [FaultKind], seconds: Int, gap: Double, lease: Double, seed: UInt64) -> [Fault] {
    guard !kinds.isEmpty else { return [] }
    var generator = SeededGenerator(seed: seed, stream: 0)
    let gap = min(gap, Double(seconds) * share / Double(kinds.count))
    var faults: [Fault] = []
    var at = 0.0
    while true {
      for kind in kinds.shuffled(using: &generator) {
        at += Double.random(in: 0.5 * gap...1.5 * gap, using: &generator)
        // The first round is always whole, however its gaps fell.
        if at > Double(seconds), faults.count >= kinds.count { return faults }
        faults.append(
          Fault(
            kind: kind, at: .seconds(at), length: generator.duration(kind.length(lease: lease)),
            choice: generator.next()))
      }
    }
  }
}
