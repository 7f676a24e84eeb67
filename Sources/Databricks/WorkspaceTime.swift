import Foundation
import Platform

/// Time and chance as the workspace client sees them; tests bring their own.
package struct WorkspaceTime: Sendable {
  package var now: @Sendable () -> ContinuousClock.Instant
  /// Wall time, used only where a response has no `Date`.
  package var date: @Sendable () -> Date
  package var sleep: @Sendable (Duration) async throws -> Void
  package var jitter: @Sendable (ClosedRange<Double>) -> Double

  package init(
    now: @escaping @Sendable () -> ContinuousClock.Instant, date: @escaping @Sendable () -> Date,
    sleep: @escaping @Sendable (Duration) async throws -> Void,
    jitter: @escaping @Sendable (ClosedRange<Double>) -> Double
  ) {
    self.now = now
    self.date = date
    self.sleep = sleep
    self.jitter = jitter
  }

  package static let system = WorkspaceTime(
    now: { ContinuousClock.now }, date: { Date() }, sleep: { try await Task.sleep(for: $0) },
    jitter: { Double.random(in: $0) })
}
