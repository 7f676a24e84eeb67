import Platform
import Postgres

/// What became of a job that was told to run again.
package struct RetriedJob: Sendable, Hashable {
  package let id: Int64
  /// The job that runs for it: itself, or one of the same lane, kind and scope that has not started.
  package let runsAs: Int64

  package init(id: Int64, runsAs: Int64) {
    self.id = id
    self.runsAs = runsAs
  }
}

/// How many dead letters there are.
package struct DeadLetterCount: Sendable, Hashable {
  package let count: Int
  /// Counting ended at its limit: there may be more.
  package let isLimited: Bool

  package init(count: Int, isLimited: Bool) {
    self.count = count
    self.isLimited = isLimited
  }
}

/// The dead letters: discarded jobs, kept until somebody retries them or puts them aside.
extension MetadataSession {
  /// Dead letters that a count looks at: at most some milliseconds' worth.
  package static let deadLetterCountLimit = 10_000
  /// Dead letters that one transaction retries.
  package static let retryLimit = 1000

  /// A page of dead letters, oldest first: those with a number above `after`.
  package func deadLetters(lane: Int64? = nil, after: Int64 = 0, limit: Int = 100) async throws -> [Job] {
    try await connection.query(
      """
      \(Self.jobColumns) where j.state = 'discarded' and j.id > $1 and ($2::bigint is null or j.lane_id = $2)
      order by j.id limit $3
      """, [.int8(after), .optional(lane), .int(limit)]
    ).rows.map(Self.decodeJob)
  }

  /// Counts at most `deadLetterCountLimit`.
  package func deadLetterCount(lane: Int64? = nil) async throws -> DeadLetterCount {
    let rows = try await connection.query(
      """
      select count(*) as n from (
        select from job where state = 'discarded' and ($1::bigint is null or lane_id = $1) limit $2) counted
      """, [.optional(lane), .int(Self.deadLetterCountLimit)]
    ).rows
    let count = Int(try rows[0].int("n"))
    return DeadLetterCount(count: count, isLimited: count == Self.deadLetterCountLimit)
  }

  /// Runs up to `retryLimit` dead letters with numbers above `after` again, in the order they had, as if new.
  ///
  /// - Returns: each of them, oldest first; as many as `retryLimit` if there may be more, to be had after the last.
  package func retryDeadLetters(lane: Int64? = nil, after: Int64 = 0) async throws -> [RetriedJob] {
    try await retry(
      "state = 'discarded' and id > $1 and ($2::bigint is null or lane_id = $2)", [.int8(after), .optional(lane)])
  }

  /// Runs a discarded or cancelled job again, as if new.
  ///
  /// - Throws: `refused` for a job in another state, `notFound` for none.
  @discardableResult
  package func retryJob(id: Int64) async throws -> RetriedJob {
    let retried = try await retry("state in ('discarded', 'cancelled') and id = $1", [.int8(id)])
    if let job = retried.first { return job }
    let job = try await job(id: id)
    throw MetadataError(
      .refused, "job \(id) is \(job.state.rawValue); only discarded and cancelled jobs can be retried")
  }

  /// Puts a dead letter aside: nothing runs, and it is kept no longer than other finished jobs. Who did it and why is
  /// written to the audit trail and to the job, before what had failed.
  ///
  /// - Throws: `refused` for a job that is not discarded, `notFound` for none.
  package func discardDeadLetter(id: Int64, actor: String, reason: String? = nil) async throws {
    let note = "put aside by \(actor)" + (reason.map { ": \($0)" } ?? "")
    let changed = try await connection.query(
      statement(PackageResources.put_aside_job_sql), [.int8(id), .text(note)]
    ).rows
    if changed.isEmpty {
      let job = try await job(id: id)
      throw MetadataError(.refused, "job \(id) is \(job.state.rawValue); only dead letters can be discarded")
    }
    try await audit(
      AuditEntry(actor: actor, action: "dead discard", job: id, detail: reason.map { ["reason": $0] } ?? [:]))
  }

  /// Tries again when a producer took a key at the same moment: the next look finds its job.
  private func retry(_ condition: String, _ parameters: [PostgresValue]) async throws -> [RetriedJob] {
    let rows = try await connection.query(
      """
      select id, kind, class, scope::text as scope from job where \(condition)
      order by id limit \(Self.retryLimit) for update
      """, parameters
    ).rows
    guard !rows.isEmpty else { return [] }
    let numbers = try rows.map { try $0.int("id") }
    let keys = try rows.map { row -> String? in try Self.openKey(of: row) }
    for _ in 0..<Self.keyRaceLimit {
      do {
        return try await connection.savepoint { try await MetadataSession(connection: $0).run(numbers, keys) }
      } catch let error as PostgresError where error.sqlState == .uniqueViolation { continue }
    }
    return try await run(numbers, keys)
  }

  /// How often a producer may be quicker.
  private static let keyRaceLimit = 5

  private func run(_ numbers: [Int64], _ keys: [String?]) async throws -> [RetriedJob] {
    let rows = try await connection.query(
      statement(PackageResources.retry_jobs_sql),
      [.int8Array(numbers), .textArray(keys), .text(Self.outboxChannel), .int(Self.outboxEntry)]
    ).rows
    return try rows.map { RetriedJob(id: try $0.int("id"), runsAs: try $0.int("runs_as")) }
  }

  private static func openKey(of row: PostgresRow) throws -> String {
    guard let kind = JobKind(rawValue: try row.text("kind")),
      let jobClass = JobClass(rawValue: Int(try row.int("class")))
    else { throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version") }
    return CoalescingKey(
      JobRequest(lane: 0, kind: kind, jobClass: jobClass, scope: try JobScope(json: try row.text("scope")))
    ).openKey
  }
}
