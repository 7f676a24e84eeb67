import Platform
import Postgres

/// Producing and reading jobs. Claiming and settling are in `JobClaims.swift`.
extension MetadataSession {
  /// The channel on which a commit with new jobs is announced to schedulers.
  package static let outboxChannel = "sluice_outbox"
  /// The channel on which finished jobs are announced to those who wait for them.
  package static let outcomeChannel = "sluice_outcome"

  /// Inserts jobs, or coalesces them into ones that have not started, in the order of the requests.
  ///
  /// The statement locks the row that it coalesces into: a claim that runs at the same time either waits for this
  /// transaction and then reads what it changed, or comes first and leaves the key free for a new job.
  package func submit(_ requests: [JobRequest]) async throws -> [SubmittedJob] {
    var byKey: [String: SubmittedJob] = [:]
    func key(_ request: JobRequest) -> String { "\(request.lane) \(request.openKey)" }
    var first: [String: JobRequest] = [:]
    for request in requests where first[key(request)] == nil { first[key(request)] = request }
    // Sorted, so that two producers lock rows in the same order.
    let distinct = first.values.sorted { ($0.lane, $0.openKey) < ($1.lane, $1.openKey) }
    for start in stride(from: 0, to: distinct.count, by: Self.submitChunk) {
      let chunk = distinct[start..<min(start + Self.submitChunk, distinct.count)]
      for job in try await insertJobs(Array(chunk)) { byKey[job.key] = job.job }
    }
    if !distinct.isEmpty {
      _ = try await connection.query("select pg_notify($1, '')", [.text(Self.outboxChannel)])
    }
    return try requests.map { request in
      guard let job = byKey[key(request)] else {
        throw MetadataError(.corrupt, "a submitted job did not come back from the ledger")
      }
      return job
    }
  }

  /// Jobs in one INSERT.
  private static let submitChunk = 1000

  private func insertJobs(_ requests: [JobRequest]) async throws -> [(key: String, job: SubmittedJob)] {
    try await connection.query(
      statement(PackageResources.submit_jobs_sql),
      [
        .int8Array(requests.map(\.lane)), .textArray(requests.map(\.kind.rawValue)),
        .int8Array(requests.map { Int64($0.jobClass.rawValue) }), .textArray(requests.map(\.scope.json)),
        .textArray(requests.map(\.openKey)), .textArray(requests.map { $0.parent.map(String.init) }),
      ]
    ).rows.map { row in
      let lane = try row.int("lane_id")
      return (
        "\(lane) \(try row.text("open_key"))",
        SubmittedJob(id: try row.int("id"), lane: lane, isNew: try row.bool("is_new"))
      )
    }
  }

  static let jobColumns = """
    select j.id, j.lane_id, l.connection_id, l.kind as lane_kind, l.database_id, d.name as database_name, d.oid as database_oid,
      coalesce(d.dropped_at is not null, false) as is_dropped,
      c.name as connection, j.kind, j.class, j.state, j.scope::text as scope, j.parent_id, j.coalesced, j.attempt,
      j.max_attempts, j.stalls,
      j.enqueued_epoch = (select epoch from queue_epoch) as enqueued, \(rfc3339("j.created_at")) as created_at,
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

  package func attempts(of id: Int64) async throws -> [JobAttempt] {
    try await connection.query(
      """
      select attempt, fence_epoch, fence_sequence, worker, outcome, \(rfc3339("started_at")) as started_at,
        \(rfc3339("finished_at")) as finished_at, error, result::text as result
      from job_attempt where job_id = $1 order by fence_epoch, fence_sequence
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
    _ = try await connection.query("select pg_notify($1, $2)", [.text(Self.outcomeChannel), .text("\(id)")])
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
