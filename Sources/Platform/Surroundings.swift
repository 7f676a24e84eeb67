/// Where a process gets time, chance and threads from: the machine, or a simulation that owns all three.
package protocol Surroundings: Sendable {
  /// What unstructured tasks prefer, which do not inherit it; nil for the cooperative pool.
  var executor: (any TaskExecutor)? { get }
  var now: ContinuousClock.Instant { get }
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  func sleep(for duration: Duration) async throws
  func random() -> UInt64
  /// The same on a thread of its own, where nothing that is busy elsewhere delays what runs or sleeps.
  func undelayed(_ name: String) -> any Surroundings
}

extension Surroundings {
  /// A delay of a backoff after `failures` failures in a row (1 or more).
  package func delay(_ backoff: Backoff, failures: Int) -> Duration {
    var generator = Generator(surroundings: self)
    return backoff.delay(failures: failures, using: &generator)
  }

  package func hasPassed(_ deadline: Deadline) -> Bool { now >= deadline.instant }
}

private struct Generator<Source: Surroundings>: RandomNumberGenerator {
  let surroundings: Source
  mutating func next() -> UInt64 { surroundings.random() }
}

/// The machine's clock, generator and threads.
package struct MachineSurroundings: Surroundings {
  package init() {}

  package var executor: (any TaskExecutor)? { nil }
  package var now: ContinuousClock.Instant { .now }
  package func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }
  package func random() -> UInt64 { .random(in: .min ... .max) }
  package func undelayed(_ name: String) -> any Surroundings { ThreadSurroundings(thread: ThreadExecutor(name: name)) }
}

/// The machine's, with a thread that wakes its sleepers itself: `Task.sleep` goes through the cooperative pool, where
/// blocked handlers delay it (measured: 849 ms for 50).
private struct ThreadSurroundings: Surroundings {
  let thread: ThreadExecutor

  var executor: (any TaskExecutor)? { thread }
  var now: ContinuousClock.Instant { .now }
  func sleep(for duration: Duration) async throws { try await thread.sleep(for: duration) }
  func random() -> UInt64 { .random(in: .min ... .max) }
  func undelayed(_ name: String) -> any Surroundings { self }
}
