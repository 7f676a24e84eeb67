import Metadata
import Platform
import Postgres

/// The lane's lock in the target: what makes target commits of a lane happen in the order in which their desired
/// state was read. Held by the transaction, so that a lost worker's lock ends with its session.
enum LaneLock {
  /// The first key of the advisory locks: "SLUI" in ASCII. The second tells roles from databases.
  private static let space = 0x534C_5549

  /// Takes the lock, waiting at most the session's `lock_timeout`.
  ///
  /// - Throws: `TargetError` with `.locked` if somebody else has it: no job is to blame, and none could have run.
  static func take(_ kind: LaneKind, in session: PostgresConnection) async throws {
    do {
      _ = try await session.query(
        "select pg_advisory_xact_lock($1::int, $2::int)",
        [.int4(Int32(space)), .int4(kind == .roles ? 1 : 2)])
    } catch {
      guard error.sqlState == .lockNotAvailable else { throw error }
      throw TargetError(
        .locked, "another session holds the lane's lock",
        remedy: "nothing: a worker that was cut off loses it when the target ends its session; else see who holds the "
          + "advisory lock (\(space), \(kind == .roles ? 1 : 2)) in pg_locks")
    }
  }
}
