import Platform
import Postgres

/// A job number on its way to Redis.
package struct OutboxJob: Sendable {
  package let id: Int64
  package let lane: Int64
  /// The connection that parks it; 0 for governance lanes, which no stopped instance holds up.
  package let parkedBy: Int64
  package let jobClass: JobClass
  package let kind: JobKind
  package let delay: Duration?

  package init(id: Int64, lane: Int64, parkedBy: Int64, jobClass: JobClass, kind: JobKind, delay: Duration?) {
    self.id = id
    self.lane = lane
    self.parkedBy = parkedBy
    self.jobClass = jobClass
    self.kind = kind
    self.delay = delay
  }
}

/// The queue as the ledger knows it.
package struct QueueState: Sendable {
  package let epoch: Int64
  /// The run of the Redis server that holds this epoch's queue. Nil before the first, and when this database has taken
  /// another's place since then: it may have forgotten the last results, of which Redis knows that they are settled.
  package let redisRunID: String?
  /// The classes with jobs that Redis has not been told of, the first to be told first.
  package let outboxClasses: [JobClass]
  /// Redis holds as many jobs as it may: producers slow down, and only revokes are handed over.
  package let isFull: Bool
  /// Of the operators' rules; rises with every change.
  package let rulesVersion: Int64

  package init(
    epoch: Int64, redisRunID: String?, outboxClasses: [JobClass], isFull: Bool, rulesVersion: Int64
  ) {
    self.rulesVersion = rulesVersion
    self.epoch = epoch
    self.redisRunID = redisRunID
    self.outboxClasses = outboxClasses
    self.isFull = isFull
  }
}

/// The outbox: jobs that Redis has not been told of.
extension MetadataSession {
  /// Key of the advisory lock under which the outbox is emptied: "SLUI" in ASCII, and 1.
  private static let outboxLock: Int64 = 0x534C_5549_0000_0001
  /// Key of the session lock that makes a scheduler the leader.
  package static let leaderLock: Int64 = 0x534C_5549_0000_0002
  /// Key of the session lock that lets a scheduler raise the queue's epoch.
  static let keeperLock: Int64 = 0x534C_5549_0000_0004

  /// Takes jobs of a class that Redis has not been told of: first what it has forgotten, then what is new. Redis is told
  /// before the transaction commits; if that fails they stay, and are told once more, which is harmless.
  ///
  /// One transaction at a time does so, by an advisory lock that lasts until its end.
  /// - Returns: about `limit` jobs; none as well while another scheduler does this.
  package func takeOutbox(_ jobClass: JobClass, epoch: Int64, limit: Int) async throws -> [OutboxJob] {
    let refill = try await connection.query(
      """
      select epoch, lane_id, job_id, pg_try_advisory_xact_lock($2) as is_locked from refill where class = $1
      """, [.int(jobClass.rawValue), .int8(Self.outboxLock)]
    ).rows.first
    if let refill {
      guard try refill.bool("is_locked"), try refill.int("epoch") == epoch else { return [] }
      let jobs = try await takeRefill(jobClass, epoch, limit, after: refill)
      if !jobs.isEmpty { return jobs }
    }
    return try await connection.queryPrepared(
      statement(PackageResources.take_outbox_sql),
      [.int(jobClass.rawValue), .int(limit), .int8(Self.outboxLock)]
    ).rows.map { try Self.decodeOutbox($0, jobClass) }
  }

  /// None once Redis has been told of everything that it had forgotten.
  private func takeRefill(
    _ jobClass: JobClass, _ epoch: Int64, _ limit: Int, after place: PostgresRow
  ) async throws -> [OutboxJob] {
    let jobs = try await connection.query(
      statement(PackageResources.take_refill_sql),
      [
        .int(jobClass.rawValue), .int8(epoch), .int8(try place.int("lane_id")), .int8(try place.int("job_id")),
        .int(limit),
      ]
    ).rows.map { try Self.decodeOutbox($0, jobClass) }
    if jobs.isEmpty {
      _ = try await connection.query(
        "delete from refill where class = $1 and epoch = $2", [.int(jobClass.rawValue), .int8(epoch)])
    }
    return jobs
  }

  private static func decodeOutbox(_ row: PostgresRow, _ jobClass: JobClass) throws -> OutboxJob {
    guard let kind = JobKind(rawValue: try row.text("kind")) else {
      throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version")
    }
    let delay = try row.int("delay_ms")
    return OutboxJob(
      id: try row.int("id"), lane: try row.int("lane_id"), parkedBy: try row.int("parked_by"), jobClass: jobClass,
      kind: kind, delay: delay > 0 ? .milliseconds(delay) : nil)
  }

  package func queueState() async throws -> QueueState {
    let row = try await connection.queryPrepared(statement(PackageResources.queue_state_sql)).rows[0]
    return QueueState(
      epoch: try row.int("epoch"), redisRunID: try row.optionalText("redis_run_id"),
      outboxClasses: try row.intArray("classes").compactMap { JobClass(rawValue: Int($0)) },
      isFull: try row.bool("is_full"), rulesVersion: try row.int("rules_version"))
  }

  /// Notes that the queue is full, or that there is room again; producers are told with what they submit.
  ///
  /// - Returns: false if that was known.
  @discardableResult
  package func noteQueue(isFull: Bool) async throws -> Bool {
    try await connection.query(
      """
      update queue_epoch set full_since = case when $1 then now() end where (full_since is null) = $1
      """, [.bool(isFull)]
    ).affected > 0
  }

  /// Redis has lost its memory, or may have: raises the epoch above `known` and above what Redis still claims, and
  /// returns the new epoch. Of several schedulers one raises it; nil for the others, who must not establish it.
  package func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64? {
    try await connection.query(
      statement(PackageResources.raise_epoch_sql), [.int8(known), .optional(claimed), .optional(redisRunID)]
    ).rows.first?.int("epoch")
  }
}
