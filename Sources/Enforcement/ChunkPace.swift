import Platform

/// How many securables a transaction in a target takes: more while transactions are quick, fewer after one that was
/// slow or lost against somebody else (GRANTS.md e.4).
struct ChunkPace: Sendable {
  /// A transaction locks each new grantee's role; the server's lock table has some 6,400 places for all sessions
  /// (64 × max_connections).
  static let maximumLocks = 900
  /// Entries of one transaction: a quarter of a second at the 50,000 to 110,000 a second of GRANTS.md d-2.
  static let maximumGrants = 20_000
  /// Securables that are read at once, and granted on where that locks none of them: from some thousand on a transaction
  /// costs what they cost, and next to nothing of its own (17.10, measured).
  static let maximum = 2000
  /// Where each is locked: it may have a sequence, which is locked too.
  private static let maximumLocked = 400
  private static let initial = 200
  private static let step = 50

  /// About how long a transaction may take.
  let target: Duration
  /// From PostgreSQL 18 on, GRANT and REVOKE lock each table that they name (GRANTS.md, measured).
  let locksTables: Bool
  private(set) var limit = initial

  init(target: Duration, serverVersion: Int) {
    self.target = target
    locksTables = serverVersion >= 180_000
  }

  mutating func note(_ securables: Int, took: Duration) {
    if took > target * 2 {
      limit = max(1, min(limit, securables) / 2)
    } else if took < target, securables >= limit {
      let isFarBelow = limit < Self.initial || took * 2 < target
      limit = min(locksTables ? Self.maximumLocked : Self.maximum, isFarBelow ? limit * 2 : limit + Self.step)
    }
  }

  /// Halves, or leaves an eighth: each try of what takes too long takes that long again.
  mutating func noteFailure(of securables: Int, isSlow: Bool) {
    limit = max(1, min(limit, securables) / (isSlow ? 8 : 2))
  }
}
