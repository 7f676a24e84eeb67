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

/// A page of the outbox, or of a refill.
package struct OutboxPage: Sendable {
  package var jobs: [OutboxJob] = []
  /// The connection after which the round goes on; nil: it begins again with the first.
  package var next: Int64?
  package var hasMore = false

  package init() {}
}

/// Where the rounds through the connections with jobs of a class have come to: the connections after which the outbox and
/// the refill go on; nil: with the first.
package struct OutboxRound: Sendable, Equatable {
  package var outbox: Int64?
  package var refill: Int64?
  package var hasMore = false

  package init() {}
}

/// The queue as the ledger knows it.
package struct QueueState: Sendable {
  package let epoch: Int64
  /// The run of the Redis server that holds this epoch's queue. Nil before the first, and when this database has taken
  /// another's place since then: it may have forgotten the last results, of which Redis knows that they are settled.
  package let redisRunID: String?
  /// The classes with new jobs that Redis has not been told of.
  package var outboxClasses: Set<JobClass>
  /// The classes with jobs that it has to be told of again.
  package var refillClasses: Set<JobClass>
  /// Redis holds as many jobs as it may: producers slow down, and only revokes are handed over.
  package let isFull: Bool
  /// Connections of which it holds as many jobs as it may of one: the same holds for theirs.
  package let fullConnections: Set<Int64>
  /// Of the operators' rules; rises with every change.
  package let rulesVersion: Int64

  package init(
    epoch: Int64, redisRunID: String?, outboxClasses: Set<JobClass>, refillClasses: Set<JobClass>, isFull: Bool,
    fullConnections: Set<Int64>, rulesVersion: Int64
  ) {
    self.rulesVersion = rulesVersion
    self.epoch = epoch
    self.redisRunID = redisRunID
    self.outboxClasses = outboxClasses
    self.refillClasses = refillClasses
    self.isFull = isFull
    self.fullConnections = fullConnections
  }

  /// The classes with jobs that Redis has to be told of, the first to be told first.
  package var waitingClasses: [JobClass] { outboxClasses.union(refillClasses).sorted() }
}

/// The outbox: jobs that Redis has not been told of.
extension MetadataSession {
  /// Key of the advisory lock under which the outbox is emptied: "SLUI" in ASCII, and 1.
  private static let outboxLock: Int64 = 0x534C_5549_0000_0001
  /// Key of the session lock that makes a scheduler the leader.
  package static let leaderLock: Int64 = 0x534C_5549_0000_0002
  /// Key of the session lock that lets a scheduler raise the queue's epoch.
  static let keeperLock: Int64 = 0x534C_5549_0000_0004
  /// Connections that share a page: what each has more than its share, an entry of the outbox, is bounded with it.
  package static let outboxTurns = 10

  /// Takes new jobs of a class that Redis has not been told of. Redis is told before the transaction commits; if that
  /// fails they stay, and are told once more, which is harmless.
  ///
  /// One transaction at a time does so, by an advisory lock that lasts until its end.
  /// - Parameters:
  ///   - limit: Shared by the next `outboxTurns` connections; each may get an entry of the outbox more.
  ///   - after: As the page before said.
  ///   - connections: That are passed over.
  /// - Returns: None as well while another scheduler does this, or in another epoch.
  package func takeOutbox(
    _ jobClass: JobClass, epoch: Int64, limit: Int, after: Int64? = nil, without connections: Set<Int64> = []
  ) async throws -> OutboxPage {
    try await takePage(PackageResources.take_outbox_sql, jobClass, epoch, limit, after, connections)
  }

  /// As `takeOutbox`, of the jobs that Redis has forgotten.
  package func takeRefill(
    _ jobClass: JobClass, epoch: Int64, limit: Int, after: Int64? = nil, without connections: Set<Int64> = []
  ) async throws -> OutboxPage {
    try await takePage(PackageResources.take_refill_sql, jobClass, epoch, limit, after, connections)
  }

  private func takePage(
    _ source: [UInt8], _ jobClass: JobClass, _ epoch: Int64, _ limit: Int, _ after: Int64?,
    _ connections: Set<Int64>
  ) async throws -> OutboxPage {
    let rows = try await connection.queryPrepared(
      statement(source),
      [
        .int(jobClass.rawValue), .int(limit), .int8(after ?? -1), .int8Array(connections.sorted()),
        .int(Self.outboxTurns), .int8(epoch), .int8(Self.outboxLock),
      ]
    ).rows
    var page = OutboxPage()
    for row in rows {
      (page.next, page.hasMore) = (try row.optionalInt("next"), try row.bool("has_more"))
      if let id = try row.optionalInt("id") { page.jobs.append(try Self.decodeOutbox(row, id, jobClass)) }
    }
    return page
  }

  private static func decodeOutbox(_ row: PostgresRow, _ id: Int64, _ jobClass: JobClass) throws -> OutboxJob {
    guard let kind = JobKind(rawValue: try row.text("kind")) else {
      throw MetadataError(.corrupt, "job \(id) was written by another version")
    }
    let delay = try row.int("delay_ms")
    return OutboxJob(
      id: id, lane: try row.int("lane_id"), parkedBy: try row.int("parked_by"), jobClass: jobClass,
      kind: kind, delay: delay > 0 ? .milliseconds(delay) : nil)
  }

  /// Waits until something is announced to schedulers, or the time has passed.
  ///
  /// - Returns: The classes of which there are new jobs, if there is nothing else to look for.
  package func awaitOutbox(atMost longest: Duration) async throws -> Set<JobClass> {
    let announced = try await announcements(until: .after(longest))
    // Without a class: the rules have changed, and they come before any job.
    if announced.contains("") { return [] }
    return Set(announced.joined().compactMap { $0.wholeNumberValue.flatMap(JobClass.init) })
  }

  package func queueState() async throws -> QueueState {
    let row = try await connection.queryPrepared(statement(PackageResources.queue_state_sql)).rows[0]
    func classes(_ column: String) throws -> Set<JobClass> {
      Set(try row.intArray(column).compactMap { JobClass(rawValue: Int($0)) })
    }
    return QueueState(
      epoch: try row.int("epoch"), redisRunID: try row.optionalText("redis_run_id"),
      outboxClasses: try classes("outbox_classes"), refillClasses: try classes("refill_classes"),
      isFull: try row.bool("is_full"), fullConnections: Set(try row.intArray("full_connections")),
      rulesVersion: try row.int("rules_version"))
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

  /// Notes that the queue is full of these connections' jobs, or has room for them again; as `noteQueue(isFull:)`.
  ///
  /// - Returns: Those of which it was not known.
  @discardableResult
  package func noteConnections(_ connections: Set<Int64>, areFull: Bool) async throws -> Set<Int64> {
    let change =
      areFull
      ? """
      insert into full_connection (connection_id) select id from connection where id = any ($1)
      on conflict do nothing returning connection_id
      """ : "delete from full_connection where connection_id = any ($1) returning connection_id"
    let rows = try await connection.query(change, [.int8Array(connections.sorted())]).rows
    return Set(try rows.map { try $0.int("connection_id") })
  }

  /// Since when Redis has as many jobs of which connections as it may of one; RFC 3339, UTC.
  package func fullConnections() async throws -> [Int64: String] {
    let rows = try await connection.query(
      "select connection_id, \(rfc3339("since")) as since from full_connection"
    ).rows
    return try rows.reduce(into: [:]) { $0[try $1.int("connection_id")] = try $1.text("since") }
  }

  /// Whether the queue has room for new jobs of these lanes' connections.
  package func hasRoom(for lanes: Set<Int64>) async throws -> Bool {
    try await connection.query(
      """
      select not exists (select from queue_room where lane_id = any ($1) and is_full) as has_room
      """, [.int8Array(lanes.sorted())]
    ).rows[0].bool("has_room")
  }

  /// Redis has lost its memory, or may have: raises the epoch above `known` and above what Redis still claims, and
  /// returns the new epoch. Of several schedulers one raises it; nil for the others, who must not establish it.
  package func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64? {
    try await connection.query(
      statement(PackageResources.raise_epoch_sql), [.int8(known), .optional(claimed), .optional(redisRunID)]
    ).rows.first?.int("epoch")
  }
}
