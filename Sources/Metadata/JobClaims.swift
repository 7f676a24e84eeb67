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

  /// A failure that counts: it runs again after the delay, unless this was its last attempt.
  package func failed(_ error: String, remedy: String, delay: Duration) -> JobResult {
    JobResult(
      id: id, outcome: attempt + 1 < maxAttempts ? .retryable(delay) : .discarded, error: error, remedy: remedy)
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
  /// A producer or an old worker holds the row, a neighbour runs alone, or the lease is not newer than the job's last or
  /// older than the ledger's epoch: back to the lane at once.
  package var busy: [Int64] = []

  package init() {}
  /// The lease is of an older epoch than the ledger's: whoever gave it does not hold the queue any more.
  package var isOutdated = false
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

extension MetadataDatabase {
  /// Claims the jobs of a lease, as `MetadataSession.claim` without waiting for the disk. What was given up is on the
  /// disk: it leaves Redis now, and a crash must not bring it back to a ledger that believes that Redis has it.
  package func claim(_ numbers: [Int64], fence: Fence, worker: String) async throws -> Claim {
    let claim = try await statement { try await $0.claim(numbers, fence: fence, worker: worker, isDurable: false) }
    // A commit that waits takes what was committed before it to the disk.
    if !claim.poisoned.isEmpty { try await transaction { try await $0.tellPoisoned(claim.poisoned, worker: worker) } }
    return claim
  }
}

extension MetadataSession {
  /// How often a worker may vanish during a job before the job is taken for the cause.
  package static let stallLimit = 3

  /// How long a job may fail, from its first counted failure on, before it is discarded. Waiting for its turn, for a
  /// stopped instance and for the end of a snooze does not count.
  package static let defaultRetryLimit: Duration = .seconds(86_400)

  /// Claims the jobs of a lease under its fence. A job that an older fence was running stalled; it is claimed again.
  /// Under the same fence only the same worker may claim again, which did not see the answer or has released the jobs.
  ///
  /// - Parameter isDurable: false for a claim that is its transaction's only statement, whose commit then does not wait
  ///   for the disk. A server that crashes may forget it: then nothing has started for the ledger, the results of the
  ///   run are refused as stale, and the jobs run again. The next commit that waits, such as that of the results, takes
  ///   it to the disk too.
  package func claim(_ numbers: [Int64], fence: Fence, worker: String, isDurable: Bool = true) async throws -> Claim {
    let rows = try await connection.queryPrepared(
      statement(PackageResources.claim_jobs_sql),
      [
        .int8Array(numbers), .int8(fence.epoch), .int8(fence.sequence), .text(worker), .int8(Int64(Self.stallLimit)),
        .bool(isDurable),
      ]
    ).rows
    var claim = Claim()
    for row in rows {
      if try row.text("state") == JobState.running.rawValue {
        claim.claimed.append(try Self.decodeClaimed(row))
      } else {
        claim.poisoned.append(try row.int("id"))
      }
    }
    claim.claimed.sort { $0.id < $1.id }
    let answered = Set(claim.claimed.map(\.id)).union(claim.poisoned)
    if answered.count < numbers.count {
      try await addFates(of: numbers.filter { !answered.contains($0) }, fence, to: &claim)
    }
    return claim
  }

  /// Puts into the trail which jobs a claim gave up, and tells whoever waits for them.
  package func tellPoisoned(_ jobs: [Int64], worker: String) async throws {
    guard !jobs.isEmpty else { return }
    try await audit(
      jobs.map {
        AuditEntry(
          actor: worker, action: "give up", job: $0,
          detail: ["reason": "its worker vanished \(Self.stallLimit) times"])
      })
    _ = try await connection.query("select pg_notify($1, '')", [.text(Self.outcomeChannel)])
  }

  private func addFates(of numbers: [Int64], _ fence: Fence, to claim: inout Claim) async throws {
    let rows = try await connection.query(
      statement(PackageResources.list_fates_sql),
      [.int8Array(numbers), .int8(fence.epoch), .int8(fence.sequence)]
    ).rows
    for row in rows {
      let id = try row.int("id")
      switch try row.text("fate") {
      case "early": claim.early[id] = .milliseconds(try row.int("remaining_ms"))
      case "busy": claim.busy.append(id)
      case "outdated":
        claim.busy.append(id)
        claim.isOutdated = true
      default: claim.finished.append(id)
      }
    }
  }

  static func decodeClaimed(_ row: PostgresRow) throws -> ClaimedJob {
    guard let kind = JobKind(rawValue: try row.text("kind")),
      let jobClass = JobClass(rawValue: Int(try row.int("class")))
    else { throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version") }
    return ClaimedJob(
      id: try row.int("id"), kind: kind, jobClass: jobClass, scope: try JobScope(json: try row.text("scope")),
      attempt: Int(try row.int("attempt")), maxAttempts: Int(try row.int("max_attempts")))
  }

  /// Writes results under the fence.
  ///
  /// A job that failed and has no attempts left, or has failed for longer than `retryLimit`, is discarded instead.
  /// - Returns: the state of each job whose result was accepted; the others were stale.
  @discardableResult
  package func settle(
    _ results: [JobResult], fence: Fence, retryLimit: Duration = defaultRetryLimit
  ) async throws -> [Int64: JobState] {
    guard !results.isEmpty else { return [:] }
    let rows = try await connection.queryPrepared(
      statement(PackageResources.settle_jobs_sql),
      [
        .int8Array(results.map(\.id)), .textArray(results.map(\.outcome.name)),
        .int8Array(results.map { Int64($0.outcome.delay.wholeMilliseconds) }), .textArray(results.map(\.error)),
        .textArray(results.map(\.remedy)), .textArray(results.map(\.result)), .int8(fence.epoch),
        .int8(fence.sequence), .text(Self.outcomeChannel), .int8(Self.outcomeLock),
      ]
    ).rows
    var states = try Self.states(rows)
    let failing = states.filter { $0.value == .retryable }.map(\.key)
    if !failing.isEmpty {
      let ended = try await connection.query(
        statement(PackageResources.end_failing_sql),
        [
          .int8Array(failing), .int8(fence.epoch), .int8(fence.sequence), .int8(Int64(retryLimit.wholeMilliseconds)),
        ]
      ).rows
      states.merge(try Self.states(ended)) { $1 }
    }
    return states
  }

  private static func states(_ rows: [PostgresRow]) throws -> [Int64: JobState] {
    var states: [Int64: JobState] = [:]
    for row in rows { states[try row.int("id")] = JobState(rawValue: try row.text("state")) }
    return states
  }

  /// Gives claimed jobs back as if they had not been claimed: a drain, a parked connection. Nothing is counted.
  package func release(_ numbers: [Int64], fence: Fence) async throws {
    _ = try await connection.query(
      """
      update job set state = 'available', started_at = null, worker = null, scheduled_at = now()
      where id = any ($1) and state = 'running' and fence_epoch = $2 and fence_sequence = $3
      """, [.int8Array(numbers), .int8(fence.epoch), .int8(fence.sequence)])
  }
}

extension JobResult.Outcome {
  fileprivate var delay: Duration {
    switch self {
    case .retryable(let delay), .snoozed(let delay): delay
    case .completed, .discarded, .cancelled: .zero
    }
  }
}
