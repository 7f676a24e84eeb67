import Platform
import Postgres

/// A job number on its way to Redis.
package struct OutboxJob: Sendable {
  package let id: Int64
  package let lane: Int64
  /// The connection that parks it; 0 for governance lanes, which no stopped instance holds up.
  package let parkedBy: Int64
  package let jobClass: JobClass
  package let delay: Duration?
}

/// A place in the order of unfinished jobs: by lane, then by number.
package struct JobPosition: Sendable, Hashable {
  package let lane: Int64
  package let id: Int64
  /// Before every job.
  package static let first = JobPosition(lane: 0, id: 0)
}

/// The outbox: jobs that Redis has not been told of.
extension MetadataSession {
  /// Key of the advisory lock under which the outbox is emptied: "SLUI" in ASCII, and 1.
  private static let outboxLock: Int64 = 0x534C_5549_0000_0001
  /// Key of the session lock that makes a scheduler the leader.
  package static let leaderLock: Int64 = 0x534C_5549_0000_0002

  /// Jobs that Redis does not know yet, at most `limit`; nil while another scheduler is emptying the outbox.
  ///
  /// One at a time by an advisory lock that lasts until the transaction ends. No row is locked: a worker may have
  /// leased the first of these jobs before the last is enqueued, and must be able to claim it.
  package func outbox(limit: Int) async throws -> [OutboxJob]? {
    let locked = try await connection.query("select pg_try_advisory_xact_lock($1) as locked", [.int8(Self.outboxLock)])
    guard try locked.rows[0].bool("locked") else { return nil }
    return try await connection.query(statement(PackageResources.outbox_sql), [.int8(Int64(limit))]).rows
      .map(Self.decodeOutbox)
  }

  /// Jobs that were enqueued and have been due for at least `age`, a page of at most `limit` after `position`; `last` is
  /// nil on the last page.
  package func longDue(
    since age: Duration, after position: JobPosition, limit: Int
  ) async throws -> (jobs: [OutboxJob], last: JobPosition?) {
    let jobs = try await connection.query(
      statement(PackageResources.long_due_sql),
      [.int8(Int64(age.wholeMilliseconds)), .int8(position.lane), .int8(position.id), .int8(Int64(limit))]
    ).rows.map(Self.decodeOutbox)
    let last = jobs.count == limit ? jobs.last.map { JobPosition(lane: $0.lane, id: $0.id) } : nil
    return (jobs, last)
  }

  private static func decodeOutbox(_ row: PostgresRow) throws -> OutboxJob {
    guard let jobClass = JobClass(rawValue: Int(try row.int("class"))) else {
      throw MetadataError(.corrupt, "job \(try row.int("id")) is of an unknown class")
    }
    let delay = try row.int("delay_ms")
    return OutboxJob(
      id: try row.int("id"), lane: try row.int("lane_id"), parkedBy: try row.int("parked_by"), jobClass: jobClass,
      delay: delay > 0 ? .milliseconds(delay) : nil)
  }

  /// Waits until nobody is emptying the outbox, and keeps everybody from it until the session ends; needs a dedicated
  /// session.
  package func holdOutbox() async throws {
    _ = try await connection.query("select pg_advisory_lock($1)", [.int8(Self.outboxLock)])
  }

  package func markEnqueued(_ numbers: [Int64]) async throws {
    _ = try await connection.query("update job set enqueued = true where id = any ($1)", [.int8Array(numbers)])
  }

  package func queueEpoch() async throws -> Int64 {
    try await connection.query("select epoch from queue_epoch").rows[0].int("epoch")
  }

  /// Redis has lost its memory: a new epoch, and everything unfinished goes to Redis again. Returns the epoch to
  /// establish. The outbox must be held meanwhile.
  package func raiseEpoch() async throws -> Int64 {
    let rows = try await connection.query("update queue_epoch set epoch = epoch + 1 returning epoch").rows
    _ = try await connection.query("update job set enqueued = false where enqueued and finished_at is null")
    return try rows[0].int("epoch")
  }
}
