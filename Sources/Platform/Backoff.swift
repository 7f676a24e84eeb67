/// Full-jitter exponential backoff: a delay chosen evenly between zero and a bound that doubles with each failure.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog; full jitter spreads a crowd best.
package struct Backoff: Sendable {
  package var base: Duration
  package var cap: Duration

  package init(base: Duration, cap: Duration) {
    precondition(base > .zero && cap >= base, "a backoff needs 0 < base <= cap")
    self.base = base
    self.cap = cap
  }

  /// The largest delay after `failures` failures in a row (1 or more).
  package func bound(failures: Int) -> Duration {
    let doublings = min(max(failures - 1, 0), 30)
    return min(cap, base * (1 << doublings))
  }

  package func delay(failures: Int, using generator: inout some RandomNumberGenerator) -> Duration {
    bound(failures: failures) * Double.random(in: 0...1, using: &generator)
  }

  package func delay(failures: Int) -> Duration {
    var generator = SystemRandomNumberGenerator()
    return delay(failures: failures, using: &generator)
  }
}
