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
  /// What the ledger said when it was read: the epoch in which Redis was told of it last.
  package let enqueuedEpoch: Int64

  package init(
    id: Int64, lane: Int64, parkedBy: Int64, jobClass: JobClass, delay: Duration?, enqueuedEpoch: Int64
  ) {
    self.id = id
    self.lane = lane
    self.parkedBy = parkedBy
    self.jobClass = jobClass
    self.delay = delay
    self.enqueuedEpoch = enqueuedEpoch
  }
}

/// The outbox: jobs that Redis has not been told of.
extension MetadataSession {
  /// Key of the advisory lock under which the outbox is emptied: "SLUI" in ASCII, and 1.
  private static let outboxLock: Int64 = 0x534C_5549_0000_0001
  /// Key of the session lock that makes a scheduler the leader.
  package static let leaderLock: Int64 = 0x534C_5549_0000_0002

  /// Jobs that Redis has not been told of in this epoch, at most `limit`; nil while another scheduler is emptying the outbox.
  ///
  /// One at a time by an advisory lock that lasts until the transaction ends. No row is locked: a worker may have
  /// leased the first of these jobs before the last is enqueued, and must be able to claim it.
  package func outbox(epoch: Int64, limit: Int) async throws -> [OutboxJob]? {
    let locked = try await connection.query("select pg_try_advisory_xact_lock($1) as locked", [.int8(Self.outboxLock)])
    guard try locked.rows[0].bool("locked") else { return nil }
    return try await connection.query(statement(PackageResources.outbox_sql), [.int8(epoch), .int8(Int64(limit))]).rows
      .map { row in
        guard let jobClass = JobClass(rawValue: Int(try row.int("class"))) else {
          throw MetadataError(.corrupt, "job \(try row.int("id")) is of an unknown class")
        }
        let delay = try row.int("delay_ms")
        return OutboxJob(
          id: try row.int("id"), lane: try row.int("lane_id"), parkedBy: try row.int("parked_by"), jobClass: jobClass,
          delay: delay > 0 ? .milliseconds(delay) : nil, enqueuedEpoch: try row.int("enqueued_epoch"))
      }
  }

  /// Notes that Redis was told. A job that a producer is changing at this moment is told of once more, which is
  /// harmless. One that ended and was retried since it was read may have left Redis: it stays in the outbox.
  package func markEnqueued(_ jobs: [OutboxJob], epoch: Int64) async throws {
    _ = try await connection.query(
      """
      update job set enqueued_epoch = $2
      where id in (
        select j.id from job j join unnest($1::bigint[], $3::bigint[]) as r (id, enqueued_epoch) on j.id = r.id
        where j.enqueued_epoch = r.enqueued_epoch for no key update of j skip locked)
      """, [.int8Array(jobs.map(\.id)), .int8(epoch), .int8Array(jobs.map(\.enqueuedEpoch))])
  }

  /// The epoch of the queue, and the run of the Redis server that holds it; nil before the first.
  package func queueEpoch() async throws -> (epoch: Int64, redisRunID: String?) {
    let row = try await connection.query("select epoch, redis_run_id from queue_epoch").rows[0]
    return (try row.int("epoch"), try row.optionalText("redis_run_id"))
  }

  /// Redis has lost its memory, or may have: raises the epoch above `known` and above what Redis still claims, and
  /// returns the new epoch. Of several schedulers one raises it; nil for the others, who must not establish it.
  package func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64? {
    try await connection.query(
      """
      update queue_epoch set epoch = greatest(epoch, coalesce($2, 0)) + 1, redis_run_id = $3
      where epoch = $1 returning epoch
      """, [.int8(known), .optional(claimed), .optional(redisRunID)]
    ).rows.first?.int("epoch")
  }
}
