import Governance
import Metadata
import Metrics
import Platform
import Postgres

/// Compares a lane with the desired state although nobody has changed that: mends what is ours, or only tells it, and
/// tells what is not.
///
/// A sweep of a database looks where the target has changed since the last one; what a sync asks for, everywhere. The
/// members of audiences are read each time: a membership that was taken away leaves no trace.
struct SweepRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let worker: String
  let limits: TargetLimits

  /// At most this many differences are listed with a job, and in an entry of the audit trail.
  private static let listed = 100

  /// Nil if it was not decided, so that the job comes again.
  func run(_ job: ClaimedJob, lane: Lane, in session: PostgresConnection) async throws -> JobResult? {
    switch lane.kind {
    case .roles: try await sweepRoles(job, lane, in: session)
    case .database: try await sweepDatabase(job, lane, in: session)
    case .governance: preconditionFailure("a governance lane has no target to compare")
    }
  }

  /// What came of a comparison.
  private struct Comparison: Sendable {
    var drift: Drift
    /// That of the run that mended it; nil if nothing was tried.
    var result: JobResult?
    var isWhole = true
  }

  private func sweepRoles(
    _ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection
  ) async throws -> JobResult {
    let run = RolesRun(metadata: metadata, connection: connection, worker: worker)
    let began = try await metadata.read { try await $0.now() }
    if connection.driftMode == .observe {
      let drift = try await session.transaction(readOnly: true) { try await run.drift(lane, since: began, in: $0) }
      return try await finish(job, Comparison(drift: drift), nil, lane)
    }
    let outcome = try await run.work([job], in: session)
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: began, $0) }
    var drift = Drift()
    drift.note(renamed: outcome.naming.renamed, problems: outcome.naming.failures)
    drift.note(outcome.memberships.diff, problem: outcome.problem, isPending: open.explain)
    return try await finish(job, Comparison(drift: drift, result: outcome.result(of: job)), nil, lane)
  }

  private func sweepDatabase(
    _ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection
  ) async throws -> JobResult? {
    guard let database = lane.database else { preconditionFailure("a database lane has a database") }
    let last = try await metadata.read { try await $0.sweepMark(of: lane.id) }
    let changes = try await TargetChanges.read(since: job.scope.subject == .sweep ? last : nil, in: session)
    var comparison = Comparison(drift: Drift(), isWhole: changes.isWhole)
    if !changes.isEmpty {
      var run = DatabaseRun(
        metadata: metadata, connection: connection, database: database, worker: worker, limits: limits)
      if !changes.isWhole { run.changed = changes.relations }
      let found =
        try await connection.driftMode == .observe
        ? observe(run, lane, in: session) : repair(run, job, lane, in: session)
      guard let found else { return nil }
      (comparison.drift, comparison.result) = (found.drift, found.result)
      try await syncIfReplaced(changes, database, lane, job)
    }
    return try await finish(job, comparison, changes.mark, lane)
  }

  private func observe(
    _ run: DatabaseRun, _ lane: Lane, in session: PostgresConnection
  ) async throws -> (drift: Drift, result: JobResult?)? {
    let began = try await metadata.read { try await $0.now() }
    var extent = Extent()
    extent.isEverything = true
    return try await session.transaction(readOnly: true) { [extent] session in
      let agenda = try await run.agenda(of: extent, JobRoles(), in: session)
      return (try await run.drift(agenda, lane, since: began, in: session), nil)
    }
  }

  private func repair(
    _ run: DatabaseRun, _ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection
  ) async throws -> (drift: Drift, result: JobResult?)? {
    let began = try await metadata.read { try await $0.now() }
    let progress = try await run.work([job], in: session)
    guard let result = progress.results(of: [job]).first else { return nil }
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: began, $0) }
    var drift = progress.drift(apartFrom: open)
    if run.changed != nil {
      var foreign = try await ForeignAccess.search(run)
      for outcome in progress.outcomes {
        drift.note(try await foreign.look(at: outcome.inputs, apartFrom: [], in: session))
      }
    }
    return (drift, result)
  }

  /// A table that was made in the place of another is granted on once a sync has seen it.
  private func syncIfReplaced(
    _ changes: TargetChanges, _ database: Int64, _ lane: Lane, _ job: ClaimedJob
  ) async throws {
    guard !changes.named.isEmpty else { return }
    try await metadata.transaction { metadata in
      guard try await metadata.isReplaced(in: database, by: changes.named) else { return }
      _ = try await metadata.submit([
        JobRequest(lane: lane.id, kind: .sync, jobClass: .bulk, scope: .database(database), parent: job.id)
      ])
    }
  }

  /// Writes up to where the lane was compared, and into the trail what was found: what was mended each time, and what
  /// stays once.
  private func finish(
    _ job: ClaimedJob, _ comparison: Comparison, _ mark: SweepMark?, _ lane: Lane
  ) async throws -> JobResult {
    let summary = Summary(comparison, connection.driftMode, limit: Self.listed)
    var result = comparison.result ?? JobResult(id: job.id, outcome: .completed)
    result.result = ResultText.json(summary)
    Counter(label: MetricName.sweepExamined).increment(by: comparison.drift.examined)
    if comparison.drift.unlisted > 0 { ReachedLimit.driftEntries.count() }
    if comparison.drift.unasked > 0 { ReachedLimit.foreignPairs.count() }
    // What could not be mended is looked at again by the next sweep: nothing of the target changes where somebody lets it.
    var isMended = false
    if case .completed = result.outcome { isMended = true }
    let found = comparison.drift.unexplained
    let told = found.isEmpty ? "" : ShortHash.base32(of: found.map(\.text).joined(separator: "\n"))
    // Where nothing was looked at, what was told is as it was.
    let hasLooked = !found.isEmpty || comparison.isWhole || comparison.drift.examined > 0
    let isNews = try await metadata.transaction { [isMended] metadata in
      let before = try await metadata.toldDrift(of: lane.id)
      try await metadata.note(isMended ? mark : nil, told: hasLooked ? told : nil, of: lane.id)
      guard !found.isEmpty, summary.repaired > 0 || told != before else { return false }
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "drift", connection: connection.name, job: job.id,
          detail: summary.detail(database: lane.databaseName)))
      return true
    }
    guard isNews else {
      // The dead letter that was the first to tell of it stands.
      if case .discarded = result.outcome, !found.isEmpty {
        result = JobResult(id: job.id, outcome: .completed, result: result.result)
      }
      return result
    }
    for (finding, entries) in Dictionary(grouping: found, by: \.finding) {
      Counter(label: MetricName.drift, dimensions: [("finding", finding.rawValue)]).increment(by: entries.count)
    }
    return result
  }

  /// What a job tells of it.
  private struct Summary: Encodable {
    let mode: String
    /// Whether everything was compared, or what has changed in the target.
    let whole: Bool
    /// Relations whose entries were compared one by one.
    let examined: Int
    let repaired: Int
    /// Explained by jobs that have not run yet.
    let pending: Int
    var lost: [String]?
    var surplus: [String]?
    var changed: [String]?
    var foreign: [String]?
    var unlisted: Int?

    init(_ comparison: Comparison, _ mode: Connection.DriftMode, limit: Int) {
      let drift = comparison.drift
      self.mode = mode.rawValue
      whole = comparison.isWhole
      examined = drift.examined
      let all = drift.unexplained
      pending = drift.entries.count - all.count
      repaired =
        comparison.result == nil ? 0 : all.count { $0.finding != .foreign && $0.problem == nil }
      let listed = all.prefix(limit)
      func texts(_ finding: Drift.Finding) -> [String]? {
        let texts = listed.filter { $0.finding == finding }.map(\.text)
        return texts.isEmpty ? nil : texts
      }
      (lost, surplus, changed, foreign) = (texts(.lost), texts(.surplus), texts(.changed), texts(.foreign))
      let more = all.count - listed.count + drift.unlisted
      if more > 0 { unlisted = more }
    }

    func detail(database: String?) -> [String: String] {
      var detail = ["mode": mode, "repaired": "\(repaired)"]
      if let database { detail["database"] = database }
      if let unlisted { detail["unlisted"] = "\(unlisted)" }
      for (name, texts) in [("lost", lost), ("surplus", surplus), ("changed", changed), ("foreign", foreign)] {
        if let texts { detail[name] = texts.joined(separator: "\n") }
      }
      return detail
    }
  }
}
