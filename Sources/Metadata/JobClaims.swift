import Platform
import Postgres

/// A job that this worker runs now.
package struct ClaimedJob: Sendable {
  package let id: Int64
  package let kind: JobKind
  package let jobClass: JobClass
  package let scope: JobScope
  package let attempt: Int
  package let maxAttempts: Int

  package init(id: Int64, kind: JobKind, jobClass: JobClass, scope: JobScope, attempt: Int, maxAttempts: Int) {
    self.id = id
    self.kind = kind
    self.jobClass = jobClass
    self.scope = scope
    self.attempt = attempt
    self.maxAttempts = maxAttempts
  }
}

/// What a claim found; every leased number is in exactly one of these.
package struct Claim: Sendable {
  package var claimed: [ClaimedJob] = []
  /// Finished meanwhile: they only have to leave Redis.
  package var finished: [Int64] = []
  /// Their worker vanished too often: discarded by the claim.
  package var poisoned: [Int64] = []
  /// Due later, with what is left to wait.
  package var early: [Int64: Duration] = [:]
  /// A producer holds the row, or the lease is of an older epoch than the ledger's: back to the lane at once.
  package var busy: [Int64] = []

  package init() {}
}

/// What became of a job's run.
package struct JobResult: Sendable {
  package enum Outcome: Sendable, Equatable {
    case completed
    /// A counted failure; again after the delay.
    case retryable(Duration)
    /// An uncounted delay.
    case snoozed(Duration)
    /// Permanent: a dead letter, with what to do about it.
    case discarded
    case cancelled

    package var name: String {
      switch self {
      case .completed: "completed"
      case .retryable: "retryable"
      case .snoozed: "snoozed"
      case .discarded: "discarded"
      case .cancelled: "cancelled"
      }
    }
  }

  package var id: Int64
  package var outcome: Outcome
  package var error: String?
  package var remedy: String?
  /// JSON.
  package var result: String?

  package init(
    id: Int64, outcome: Outcome, error: String? = nil, remedy: String? = nil, result: String? = nil
  ) {
    self.id = id
    self.outcome = outcome
    self.error = error
    self.remedy = remedy
    self.result = result
  }
}

extension MetadataSession {
  /// How often a worker may vanish during a job before the job is taken for the cause.
  package static let stallLimit = 3

  /// Claims the jobs of a lease under its fence. A job that an older fence was running stalled; it is claimed again.
  package func claim(_ numbers: [Int64], fence: Fence, worker: String) async throws -> Claim {
    let rows = try await connection.query(
      statement(PackageResources.claim_jobs_sql),
      [
        .int8Array(numbers), .int8(fence.epoch), .int8(fence.sequence), .text(worker), .int8(Int64(Self.stallLimit)),
      ]
    ).rows
    var claim = Claim()
    for row in rows {
      let id = try row.int("id")
      switch try row.text("fate") {
      case "claimed": claim.claimed.append(try Self.decodeClaimed(row))
      case "poisoned": claim.poisoned.append(id)
      case "early": claim.early[id] = .milliseconds(try row.int("remaining_ms"))
      case "busy": claim.busy.append(id)
      default: claim.finished.append(id)
      }
    }
    return claim
  }

  private static func decodeClaimed(_ row: PostgresRow) throws -> ClaimedJob {
    guard let kind = JobKind(rawValue: try row.text("kind")),
      let jobClass = JobClass(rawValue: Int(try row.int("class")))
    else { throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version") }
    return ClaimedJob(
      id: try row.int("id"), kind: kind, jobClass: jobClass, scope: try JobScope(json: try row.text("scope")),
      attempt: Int(try row.int("attempt")), maxAttempts: Int(try row.int("max_attempts")))
  }

  /// Writes results under the fence and returns the numbers that were accepted; the others were stale.
  @discardableResult
  package func settle(_ results: [JobResult], fence: Fence) async throws -> Set<Int64> {
    guard !results.isEmpty else { return [] }
    func delay(_ outcome: JobResult.Outcome) -> Int64 {
      switch outcome {
      case .retryable(let delay), .snoozed(let delay): Int64(delay.wholeMilliseconds)
      case .completed, .discarded, .cancelled: 0
      }
    }
    let rows = try await connection.query(
      statement(PackageResources.settle_jobs_sql),
      [
        .int8Array(results.map(\.id)), .textArray(results.map(\.outcome.name)),
        .int8Array(results.map { delay($0.outcome) }), .textArray(results.map(\.error)),
        .textArray(results.map(\.remedy)), .textArray(results.map(\.result)), .int8(fence.epoch),
        .int8(fence.sequence),
      ]
    ).rows
    _ = try await connection.query("select pg_notify($1, '')", [.text(Self.outcomeChannel)])
    return Set(try rows.map { try $0.int("id") })
  }

  /// Gives claimed jobs back as if they had not been claimed: a drain, a parked connection. Nothing is counted.
  package func release(_ numbers: [Int64], fence: Fence) async throws {
    _ = try await connection.query(
      """
      update job set state = 'available', started_at = null, worker = null
      where id = any ($1) and state = 'running' and fence_epoch = $2 and fence_sequence = $3
      """, [.int8Array(numbers), .int8(fence.epoch), .int8(fence.sequence)])
  }
}
