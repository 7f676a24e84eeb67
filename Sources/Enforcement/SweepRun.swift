import Governance
import Metadata
import Metrics
import Platform
import Postgres

/// Compares a lane with the desired state although nobody has changed that: mends what is ours, or only tells it, and
/// tells what is not.
///
/// A sweep of a database looks where the target has changed since the last one; what a sync asks for, everywhere, as does
/// the first sweep, and one after roles, memberships, people or data sources have changed. The members of audiences are
/// read each time: a membership that was taken away leaves no trace.
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
    var run = DatabaseRun(
      metadata: metadata, connection: connection, database: database, worker: worker, limits: limits)
    let last = try await metadata.read { try await $0.sweepMark(of: lane.id) }
    let changes = try await TargetChanges.read(
      since: job.scope.subject == .sweep ? last : nil, reach: try await run.reachToken(in: session), in: session)
    var comparison = Comparison(drift: Drift(), isWhole: changes.isWhole)
    var mark = changes.mark
    if !changes.isEmpty {
      if !changes.isWhole { run.changed = changes.relations }
      let found =
        try await connection.driftMode == .observe
        ? observe(run, lane, in: session) : repair(run, job, lane, in: session)
      guard let found else { return nil }
      (comparison.drift, comparison.result) = (found.drift, found.result)
      comparison.drift.note(try await foreign(changes, run, in: session))
      // The next sweep asks again.
      if comparison.drift.unasked > 0 { mark.reach = "" }
      try await syncIfReplaced(changes, database, lane, job)
    }
    return try await finish(job, comparison, mark, lane)
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
    return (progress.drift(apartFrom: open), result)
  }

  /// What is not ours, on all data sources or on those whose rows the changed relations give.
  private func foreign(
    _ changes: TargetChanges, _ run: DatabaseRun, in session: PostgresConnection
  ) async throws -> Drift {
    var sources = try await metadata.read { try await $0.dataSources(of: run.database) }
    if !changes.isWhole {
      let changed = try await CarriedRelations.read(relations: changes.relations, in: session).byRelations
      sources.removeAll { !changed.contains($0.oid) }
    }
    return try await ForeignAccess.look(
      run, at: sources, asWhole: changes.isWhole, until: .after(limits.longestForeignLook), in: session)
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
    var result = comparison.result ?? JobResult(id: job.id, outcome: .completed)
    Counter(label: MetricName.sweepExamined).increment(by: comparison.drift.examined)
    if comparison.drift.unlisted > 0 { ReachedLimit.driftEntries.count() }
    if comparison.drift.unasked > 0 { ReachedLimit.foreignPairs.count() }
    // What could not be mended is looked at again by the next sweep: nothing of the target changes where somebody lets it.
    var isMended = false
    if case .completed = result.outcome { isMended = true }
    let found = comparison.drift.unexplained
    let isRepair = comparison.result != nil
    let staying = Set(found.filter { !isRepair || $0.isNotMended }.map(\.hash))
    let (summary, news) = try await metadata.transaction { [isMended] metadata in
      let before = try await metadata.toldDrift(of: lane.id)
      let told = comparison.isWhole ? staying : before.union(staying)
      try await metadata.note(isMended ? mark : nil, told: told == before ? nil : told, of: lane.id)
      let news = found.filter { !before.contains($0.hash) || isRepair && !$0.isNotMended }
      let summary = Summary(
        comparison, connection.driftMode, found, toldBefore: told.subtracting(staying).count, limit: Self.listed)
      guard !news.isEmpty else { return (summary, news) }
      let entry = Summary(comparison, connection.driftMode, news, toldBefore: 0, limit: Self.listed)
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "drift", connection: connection.name, job: job.id,
          detail: entry.detail(database: lane.databaseName)))
      return (summary, news)
    }
    result.result = ResultText.json(summary)
    // The dead letter that was the first to tell of it stands.
    if case .discarded = result.outcome, news.isEmpty, !found.isEmpty {
      result = JobResult(id: job.id, outcome: .completed, result: result.result)
    }
    Gauge(
      label: MetricName.driftStanding,
      dimensions: [("connection", connection.name), ("database", lane.databaseName ?? "")]
    ).record(staying.count + (summary.told_before ?? 0))
    for (finding, entries) in Dictionary(grouping: news, by: \.finding) {
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
    /// Data sources that were asked for foreign access.
    let asked: Int
    /// Pairs of a person and a data source for which there was no time; the next sweep asks for everything again.
    var unasked: Int?
    let repaired: Int
    /// Explained by jobs that have not run yet.
    let pending: Int
    /// Differences that earlier sweeps told, and that nobody has looked at since.
    var told_before: Int?
    var lost: [String]?
    var surplus: [String]?
    var changed: [String]?
    var foreign: [String]?
    var unlisted: Int?

    init(
      _ comparison: Comparison, _ mode: Connection.DriftMode, _ entries: [Drift.Entry], toldBefore: Int, limit: Int
    ) {
      let drift = comparison.drift
      self.mode = mode.rawValue
      whole = comparison.isWhole
      examined = drift.examined
      asked = drift.asked
      unasked = drift.unasked > 0 ? drift.unasked : nil
      pending = drift.entries.count - drift.unexplained.count
      repaired = comparison.result == nil ? 0 : entries.count { !$0.isNotMended }
      told_before = toldBefore > 0 ? toldBefore : nil
      let listed = entries.prefix(limit)
      func texts(_ finding: Drift.Finding) -> [String]? {
        let texts = listed.filter { $0.finding == finding }.map(\.text)
        return texts.isEmpty ? nil : texts
      }
      (lost, surplus, changed, foreign) = (texts(.lost), texts(.surplus), texts(.changed), texts(.foreign))
      let more = entries.count - listed.count + drift.unlisted
      if more > 0 { unlisted = more }
    }

    func detail(database: String?) -> [String: String] {
      var detail = ["mode": mode, "repaired": "\(repaired)"]
      if let database { detail["database"] = database }
      for (name, count) in [("unlisted", unlisted), ("unasked", unasked)] {
        if let count { detail[name] = "\(count)" }
      }
      for (name, texts) in [("lost", lost), ("surplus", surplus), ("changed", changed), ("foreign", foreign)] {
        if let texts { detail[name] = texts.joined(separator: "\n") }
      }
      return detail
    }
  }
}

extension Drift.Entry {
  /// Where what is ours is mended: whether this stays.
  fileprivate var isNotMended: Bool { finding == .foreign || problem != nil }

  /// The same whomever it is shown by.
  fileprivate var hash: String { ShortHash.base32(of: identity) }
}
