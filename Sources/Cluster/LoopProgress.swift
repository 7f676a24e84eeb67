import Platform
import Synchronization

/// When a process last got round its loop: the ground for `/livez`.
package final class LoopProgress: Sendable {
  private let last = Mutex(ContinuousClock.now)

  package init() {}

  func note() { last.withLock { $0 = ContinuousClock.now } }

  /// How long ago that was.
  package var age: Duration { last.withLock { $0.duration(to: ContinuousClock.now) } }
}
