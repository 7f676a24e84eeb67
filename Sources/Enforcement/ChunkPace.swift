import Platform

/// How many securables a transaction in a target takes: more while transactions are quick, fewer after one that was
/// slow or lost against somebody else (GRANTS.md e.4).
struct ChunkPace: Sendable {
  /// A transaction locks each new grantee's role and, from PostgreSQL 18 on, each of its tables; the server's lock table
  /// has some 6,400 places for all sessions (64 × max_connections).
  static let maximumLocks = 900
  /// Entries of one transaction: a quarter of a second at the 50,000 to 110,000 a second of GRANTS.md d-2.
  static let maximumGrants = 20_000
  private static let initial = 200
  /// Each may have a sequence, which is locked too.
  private static let maximum = 400
  private static let step = 50

  /// About how long a transaction may take.
  let target: Duration
  private(set) var limit = initial

  init(target: Duration) { self.target = target }

  mutating func note(_ securables: Int, took: Duration) {
    if took > target * 2 {
      limit = max(1, min(limit, securables) / 2)
    } else if took < target, securables >= limit {
      // Quickly back to where it began, slowly beyond that.
      limit = min(Self.maximum, limit < Self.initial ? limit * 2 : limit + Self.step)
    }
  }

  /// Halves, or leaves an eighth: each try of what takes too long takes that long again.
  mutating func noteFailure(of securables: Int, isSlow: Bool) {
    limit = max(1, min(limit, securables) / (isSlow ? 8 : 2))
  }
}
