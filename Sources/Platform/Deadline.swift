/// The instant on the monotonic clock after which an operation gives up.
///
/// Deadlines, not timeouts, travel down through calls: each layer spends from the same budget.
package struct Deadline: Sendable, Hashable, Comparable {
  package let instant: ContinuousClock.Instant

  package init(_ instant: ContinuousClock.Instant) { self.instant = instant }

  package static func after(_ duration: Duration) -> Deadline { Deadline(ContinuousClock.now.advanced(by: duration)) }

  /// What is left of it; zero once it has passed.
  package var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: instant)) }
  package var hasPassed: Bool { ContinuousClock.now >= instant }

  /// The remaining time in whole milliseconds, rounded up so that a poll never returns just before the deadline.
  package var remainingMilliseconds: Int { remaining.wholeMilliseconds }

  package static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }
}

extension Duration {
  /// Whole milliseconds, rounded up and bounded by what `poll(2)` takes.
  package var wholeMilliseconds: Int {
    let (seconds, attoseconds) = components
    guard seconds < 2_000_000 else { return 2_000_000_000 }
    return Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
  }

  /// Seconds as a floating-point number, for output only.
  package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
