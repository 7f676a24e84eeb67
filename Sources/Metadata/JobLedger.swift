import Platform
import Postgres

/// Producing and reading jobs. Claiming and settling are in `JobClaims.swift`.
extension MetadataSession {
  /// The channel on which a commit with new jobs is announced to schedulers.
  package static let outboxChannel = "sluice_outbox"
  /// The channel on which finished jobs are announced to those who wait for them.
  package static let outcomeChannel = "sluice_outcome"
  /// Key of the lock that whoever waits for outcomes shares: "SLUI" in ASCII, and 3.
  static let outcomeLock: Int64 = 0x534C_5549_0000_0003

  /// Begins to hear of finished jobs; needs a dedicated session. What finished before is seen by whoever looks after.
  package func listenToOutcomes() async throws {
    // In this order: a settlement that finds nobody holding the lock has committed before this look at the jobs.
    try await listen(to: Self.outcomeChannel)
    _ = try await connection.query("select pg_advisory_lock_shared($1)", [.int8(Self.outcomeLock)])
  }

  /// Inserts jobs, or coalesces them into ones that have not started, in the order of the requests.
  ///
  /// The statement locks the row that it coalesces into: a claim that runs at the same time either passes it over until
  /// this transaction has ended, or comes first and leaves the key free for a new job.
  package func submit(_ requests: [JobRequest]) async throws -> [SubmittedJob] {
    guard !requests.isEmpty else { return [] }
    let keys = requests.map(CoalescingKey.init)
    var first: [CoalescingKey: JobRequest] = [:]
    for (key, request) in zip(keys, requests) {
      if let other = first[key], other.jobClass <= request.jobClass { continue }
      first[key] = request
    }
    // Sorted, so that two producers lock rows in the same order.
    let distinct = first.sorted { $0.key < $1.key }
    var jobs: [CoalescingKey: SubmittedJob] = [:]
    for start in stride(from: 0, to: distinct.count, by: Self.submitChunk) {
      try await insert(Array(distinct[start..<min(start + Self.submitChunk, distinct.count)]), into: &jobs)
    }
    return try keys.map { key in
      guard let job = jobs[key] else {
        throw MetadataError(.corrupt, "a submitted job did not come back from the ledger")
      }
      return job
    }
  }

  /// Jobs in one INSERT.
  private static let submitChunk = 1000
  /// Jobs in one entry of the outbox at most: what a connection may get more than its turn when Redis is told.
  static let outboxEntry = 100

  private func insert(
    _ requests: [(key: CoalescingKey, value: JobRequest)], into jobs: inout [CoalescingKey: SubmittedJob]
  ) async throws {
    let rows = try await connection.queryPrepared(
      statement(PackageResources.submit_jobs_sql),
      [
        .int8Array(requests.map(\.key.lane)), .textArray(requests.map(\.value.kind.rawValue)),
        .int8Array(requests.map { Int64($0.value.jobClass.rawValue) }), .textArray(requests.map(\.value.scope.json)),
        .textArray(requests.map(\.key.openKey)), .textArray(requests.map { $0.value.parent.map(String.init) }),
        .text(Self.outboxChannel), .int(Self.outboxEntry),
      ]
    ).rows
    for row in rows {
      let lane = try row.int("lane_id")
      jobs[CoalescingKey(lane: lane, openKey: try row.text("open_key"))] = SubmittedJob(
        id: try row.int("id"), lane: lane, isNew: try row.bool("is_new"), isQueueFull: try row.bool("is_queue_full"))
    }
  }

  static let jobColumns = """
    select j.id, j.lane_id, l.connection_id, l.kind as lane_kind, l.database_id, d.name as database_name, d.oid as database_oid,
      coalesce(d.dropped_at is not null, false) as is_dropped,
      c.name as connection, j.kind, j.class, j.state, j.scope::text as scope, j.parent_id, j.coalesced, j.attempt,
      j.max_attempts, j.stalls,
      j.finished_at is null
        and not exists (select from outbox o where o.class = j.class and o.parked_by = l.parked_by
          and j.id between o.first_job and o.last_job and j.id = any (o.jobs))
        and not exists (select from refill r where r.class = j.class and r.parked_by = l.parked_by
          and (r.lane_id, r.job_id) < (j.lane_id, j.id))
        as enqueued, \(rfc3339("j.created_at")) as created_at,
      \(rfc3339("j.scheduled_at")) as scheduled_at, \(rfc3339("j.started_at")) as started_at,
      \(rfc3339("j.finished_at")) as finished_at, j.worker, j.error, j.remedy, j.result::text as result
    from job j join lane l on l.id = j.lane_id join connection c on c.id = l.connection_id
      left join securable d on d.id = l.database_id
    """

  package func job(id: Int64) async throws -> Job {
    let rows = try await connection.query("\(Self.jobColumns) where j.id = $1", [.int8(id)]).rows
    guard let row = rows.first else { throw MetadataError(.notFound, "there is no job \(id)") }
    return try Self.decodeJob(row)
  }

  package struct JobFilter: Sendable {
    package var state: JobState?
    package var lane: Int64?
    package var kind: JobKind?
    package init(state: JobState? = nil, lane: Int64? = nil, kind: JobKind? = nil) {
      self.state = state
      self.lane = lane
      self.kind = kind
    }
  }

  /// A page of jobs, newest first: those with a smaller number than `before`.
  package func jobs(_ filter: JobFilter, before: Int64 = .max, limit: Int = 100) async throws -> [Job] {
    try await connection.query(
      """
      \(Self.jobColumns)
      where j.id < $1 and ($2::text is null or j.state = $2) and ($3::bigint is null or j.lane_id = $3)
        and ($4::text is null or j.kind = $4)
      order by j.id desc limit $5
      """,
      [
        .int8(before), .optional(filter.state?.rawValue), .optional(filter.lane),
        .optional(filter.kind?.rawValue), .int8(Int64(limit)),
      ]
    ).rows.map(Self.decodeJob)
  }

  /// The attempts of a job, in their order, also those whose worker vanished (`stalled`). The one that ended it is told by the job's own row.
  package func attempts(of id: Int64) async throws -> [JobAttempt] {
    try await connection.query(
      """
      select attempt, fence_epoch, fence_sequence, worker, outcome, \(rfc3339("started_at")) as started_at,
        \(rfc3339("finished_at")) as finished_at, error, result::text as result
      from (
        select attempt, fence_epoch, fence_sequence, worker, outcome, started_at, finished_at, error, result
        from job_attempt where job_id = $1
        union all
        select attempt, fence_epoch, fence_sequence, worker, state, started_at, finished_at, error, result
        from job j
        where id = $1 and finished_at is not null and started_at is not null and worker is not null
          and not exists (select from job_attempt a
            where a.job_id = j.id and (a.fence_epoch, a.fence_sequence) = (j.fence_epoch, j.fence_sequence))
      ) attempt
      order by fence_epoch, fence_sequence
      """, [.int8(id)]
    ).rows.map { row in
      JobAttempt(
        number: Int(try row.int("attempt")),
        fence: Fence(epoch: try row.int("fence_epoch"), sequence: try row.int("fence_sequence")),
        worker: try row.text("worker"), outcome: try row.text("outcome"), startedAt: try row.text("started_at"),
        finishedAt: try row.text("finished_at"), error: try row.optionalText("error"),
        result: try row.optionalText("result"))
    }
  }

  /// Cancels a job that has not started; what it stood for stays in the desired state.
  package func cancelJob(id: Int64) async throws {
    let changed = try await connection.query(
      """
      update job set state = 'cancelled', finished_at = now(), open_key = null
      where id = $1 and state in ('available', 'scheduled', 'retryable')
      """, [.int8(id)]
    ).affected
    if changed == 0 {
      let job = try await job(id: id)
      throw MetadataError(
        .refused, "job \(id) is \(job.state.rawValue); only jobs that are not running and not finished can be cancelled"
      )
    }
    _ = try await connection.query("select pg_notify($1, '')", [.text(Self.outcomeChannel)])
  }

  static func decodeJob(_ row: PostgresRow) throws -> Job {
    guard let laneKind = LaneKind(rawValue: try row.text("lane_kind")),
      let kind = JobKind(rawValue: try row.text("kind")), let state = JobState(rawValue: try row.text("state")),
      let jobClass = JobClass(rawValue: Int(try row.int("class")))
    else { throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version") }
    let lane = Lane(
      id: try row.int("lane_id"), connection: try row.int("connection_id"), kind: laneKind,
      database: try row.optionalInt("database_id"), databaseName: try row.optionalText("database_name"),
      databaseOID: try row.optionalInt("database_oid"),
      isDropped: try row.bool("is_dropped"))
    return Job(
      id: try row.int("id"), lane: lane, connection: try row.text("connection"), kind: kind, jobClass: jobClass,
      state: state, scope: try JobScope(json: try row.text("scope")), parent: try row.optionalInt("parent_id"),
      coalesced: Int(try row.int("coalesced")), attempt: Int(try row.int("attempt")),
      maxAttempts: Int(try row.int("max_attempts")), stalls: Int(try row.int("stalls")),
      isEnqueued: try row.bool("enqueued"), createdAt: try row.text("created_at"),
      scheduledAt: try row.text("scheduled_at"), startedAt: try row.optionalText("started_at"),
      finishedAt: try row.optionalText("finished_at"), worker: try row.optionalText("worker"),
      error: try row.optionalText("error"), remedy: try row.optionalText("remedy"),
      result: try row.optionalText("result"))
  }
}
