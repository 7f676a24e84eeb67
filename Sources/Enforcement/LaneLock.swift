import Metadata
import Platform
import Postgres

/// The lane's lock in the target: what makes target commits of a lane happen in the order in which their desired
/// state was read. Held by the transaction, so that a lost worker's lock ends with its session.
enum LaneLock {
  /// The first key of the advisory locks: "SLUI" in ASCII. The second tells roles from databases.
  private static let space = 0x534C_5549

  /// Takes the lock, waiting at most the session's `lock_timeout`.
  static func take(_ kind: LaneKind, in session: PostgresConnection) async throws {
    _ = try await session.query(
      "select pg_advisory_xact_lock($1::int, $2::int)",
      [.int4(Int32(space)), .int4(kind == .roles ? 1 : 2)])
  }
}
