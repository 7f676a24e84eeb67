import Logging
import Metadata
import Metrics
import Platform
import Postgres

/// A lane made ready for a batch: its connection, and a session in the target where it has one.
package struct OpenLane: Sendable {
  package let lane: Lane
  package let connection: Connection
  let session: PostgresConnection?
  let targets: Targets

  package func close() async {
    if let session { await targets.giveBack(session, of: connection) }
  }

  func isOfTarget(_ error: any Error) -> Bool {
    guard let session, let error = error as? PostgresError else { return false }
    return error.endpoint == session.configuration.endpoint
  }

  /// A statement took longer than it may, or the target's transaction did: the same jobs would take as long again.
  /// A connection that does not come about in time says nothing about them.
  func isTooSlow(_ error: any Error) -> Bool {
    guard let failure = error as? PostgresError else { return false }
    if failure.code == .server { return failure.sqlState == .queryCanceled }
    return failure.code == .timedOut && (failure.statement != nil || isOfTarget(failure))
  }
}

/// Runs batches of a lane's jobs. It knows nothing of Redis: what it is given it runs, and says what came of it.
package struct LaneRun: Sendable {
  let metadata: MetadataDatabase
  let targets: Targets
  let worker: String
  let logger: Logger
  let syncLimits: SyncLimits
  let progress: JobProgress

  /// Between counted attempts of a job.
  static let retryBackoff = Backoff(base: .milliseconds(200), cap: .seconds(300))

  /// One transaction in a target. A batch takes seconds; what takes longer waits for somebody.
  static let longestRun: Duration = .seconds(300)

  /// For how long a batch that failed is split to find out which of its jobs is to blame. The lane is held meanwhile:
  /// what is not decided by then goes back to it, and comes again in smaller batches.
  static let longestSplit: Duration = .seconds(300)

  /// - Parameter progress: where jobs that take long say how far they are
  package init(
    metadata: MetadataDatabase, targets: Targets, worker: String, logger: Logger, syncLimits: SyncLimits = SyncLimits(),
    progress: JobProgress = JobProgress()
  ) {
    self.metadata = metadata
    self.targets = targets
    self.worker = worker
    self.logger = logger
    self.syncLimits = syncLimits
    self.progress = progress
  }

  /// Opens the target before anything is claimed: of a stopped instance's jobs none has begun.
  package func open(lane id: Int64) async throws -> OpenLane {
    let (lane, connection) = try await metadata.read { metadata in
      let lane = try await metadata.lane(id: id)
      return (lane, try await metadata.connection(id: lane.connection))
    }
    guard lane.kind != .governance, connection.state != .deleted, !lane.isDropped else {
      return OpenLane(lane: lane, connection: connection, session: nil, targets: targets)
    }
    let session = try await session(in: lane, of: connection)
    do { try await requireDatabase(of: lane, in: session) } catch {
      await session.close()
      throw error
    }
    return OpenLane(lane: lane, connection: connection, session: session, targets: targets)
  }

  /// A roles lane works in the connection's own database, without which nothing of the instance can be known.
  private func session(in lane: Lane, of connection: Connection) async throws -> PostgresConnection {
    do {
      return try await targets.borrow(connection, database: lane.databaseName)
    } catch let error as TargetError
      where lane.kind == .roles && [.databaseGone, .databaseClosed].contains(error.disposition)
    {
      throw TargetError(.unhealthy, error.message, remedy: error.remedy)
    }
  }

  /// Names of databases can be swapped between two syncs; OIDs of tables mean something in one database only.
  private func requireDatabase(of lane: Lane, in session: PostgresConnection) async throws {
    guard lane.kind == .database else { return }
    let found: Int64
    do {
      found = try await session.query(
        "select oid::bigint as oid from pg_database where datname = current_database()"
      ).rows[0].int("oid")
    } catch { throw Targets.classify(midway: error) }
    guard found != lane.databaseOID else { return }
    throw TargetError(
      .databaseGone, "the database \(lane.databaseName ?? "") is another one than at the last sync",
      remedy: "nothing: a sync was submitted, and the job runs after it")
  }

  /// Runs a batch, and returns the results of what was decided; the rest may run again as if it had not been claimed.
  ///
  /// - Throws: What concerns all of it; nothing was decided then. A `TargetError` says what to do with the lane; anything
  ///   else is the metadata database's trouble, or cancellation.
  package func run(_ jobs: [ClaimedJob], in open: OpenLane) async throws -> [JobResult] {
    try await run(jobs, in: open, splittingUntil: nil)
  }

  private func run(
    _ jobs: [ClaimedJob], in open: OpenLane, splittingUntil limit: Deadline?
  ) async throws -> [JobResult] {
    if let limit, limit.hasPassed { return [] }
    if open.connection.state == .deleted {
      return jobs.map { JobResult(id: $0.id, outcome: .cancelled, error: "the connection was deleted") }
    }
    if open.lane.isDropped { return try await finishDropped(jobs, open) }
    do {
      switch open.lane.kind {
      case .governance: return try await evaluate(jobs, open)
      case .roles, .database: return try await enforce(jobs, open)
      }
    } catch let error as MetadataError {
      logger.error("a batch failed", metadata: ["lane": "\(open.lane.id)", "error": "\(error)"])
      return jobs.map { failed($0, "\(error)", "see the message") }
    } catch let error as PostgresError where error.isConflict {
      // The lane's lock or the commit itself: each half of the batch would only wait for the same again.
      return jobs.map { failed($0, error.message, "nothing: it is tried again") }
    } catch  where error is MovedNames || error is Unverified {
      return jobs.map { failed($0, "\(error)", "nothing: it is tried again") }
    } catch  where !open.isTooSlow(error) && Self.isPassing(error) {
      throw open.isOfTarget(error) ? Targets.classify(midway: error) : error
    } catch {
      return try await alone(jobs, open, error, until: limit ?? .after(Self.longestSplit))
    }
  }

  /// Trouble with the way to the target or to the metadata database, and cancellation: no job is to blame, and none is
  /// counted. Everything else comes again with the same jobs, so it counts.
  private static func isPassing(_ error: any Error) -> Bool {
    if error is TargetError || error is CancellationError || MetadataDatabase.isOutage(error) { return true }
    return (error as? PostgresError)?.code == .cancelled
  }

  /// A batch that failed as a whole runs in halves, the urgent jobs first, until the one to blame fails alone.
  private func alone(
    _ jobs: [ClaimedJob], _ open: OpenLane, _ error: any Error, until limit: Deadline
  ) async throws -> [JobResult] {
    guard jobs.count > 1 else { return jobs.map { failed($0, "\(error)", "see the message; retry the job after") } }
    let sorted = jobs.sorted { ($0.jobClass, $0.id) < ($1.jobClass, $1.id) }
    let middle = sorted.count / 2
    let results = try await run(Array(sorted[..<middle]), in: open, splittingUntil: limit)
    do {
      return results + (try await run(Array(sorted[middle...]), in: open, splittingUntil: limit))
    } catch  where !results.isEmpty {
      logger.info(
        "the rest of a split batch was given back", metadata: ["lane": "\(open.lane.id)", "error": "\(error)"])
      return results
    }
  }

  private func failed(_ job: ClaimedJob, _ error: String, _ remedy: String) -> JobResult {
    job.failed(error, remedy: remedy, delay: Self.retryBackoff.delay(failures: job.attempt + 1))
  }

  /// A sync, which knows databases by OID, found this one gone: what was granted there is gone with it.
  private func finishDropped(_ jobs: [ClaimedJob], _ open: OpenLane) async throws -> [JobResult] {
    if jobs.contains(where: { $0.scope.subject == .leave }) {
      // A database that is still there asks for this itself.
      _ = try await metadata.transaction { metadata in
        let roles = try await metadata.lane(.roles, of: open.connection.id).id
        return try await metadata.submit([
          JobRequest(lane: roles, kind: .revoke, jobClass: .revoke, scope: .leave)
        ])
      }
    }
    return jobs.map { job in
      guard job.kind == .subscribe else {
        return JobResult(id: job.id, outcome: .completed, result: #"{"notes":["the database was dropped"]}"#)
      }
      return JobResult(
        id: job.id, outcome: .discarded, error: "the database was dropped", remedy: "nothing: there is nothing to grant"
      )
    }
  }

  private func evaluate(_ jobs: [ClaimedJob], _ open: OpenLane) async throws -> [JobResult] {
    struct Summary: Encodable {
      var audiences: Int
      var changed: Int
      /// Denied, because there is no place for it: the policies that ask for it.
      var unplaced: [[String]]?
      var submitted: [String]
    }
    let outcome = try await metadata.transaction {
      try await Evaluation.run(open.connection.id, parent: jobs.first?.id, in: $0)
    }
    Gauge(label: MetricName.rolesUnplaced, dimensions: [("connection", open.connection.name)])
      .record(outcome.unplaced.count)
    let result = ResultText.json(
      Summary(
        audiences: outcome.audiences, changed: outcome.changedPlaces,
        unplaced: outcome.unplaced.isEmpty ? nil : outcome.unplaced, submitted: outcome.jobs.map { "\($0.id)" }))
    return jobs.map { JobResult(id: $0.id, outcome: .completed, result: result) }
  }

  private func enforce(_ jobs: [ClaimedJob], _ open: OpenLane) async throws -> [JobResult] {
    guard let session = open.session else {
      preconditionFailure("a lane of kind \(open.lane.kind) is opened with a session")
    }
    var results: [JobResult] = []
    // Revokes and grants first; a sync may take longer.
    let changes = jobs.filter { $0.kind != .sync }
    if !changes.isEmpty {
      switch open.lane.kind {
      case .roles:
        let run = RolesRun(metadata: metadata, connection: open.connection, worker: worker)
        results += try await run.run(changes, in: session)
      case .database:
        guard let database = open.lane.database else { preconditionFailure("a database lane has a database") }
        let run = DatabaseRun(
          metadata: metadata, connection: open.connection, database: database, worker: worker, limits: targets.limits)
        let looks = changes.filter { $0.scope.subject == .residual }
        let others = changes.filter { $0.scope.subject != .residual }
        if !others.isEmpty { results += try await run.run(others, in: session) }
        if !looks.isEmpty { results += try await run.look(looks, in: session) }
      case .governance: preconditionFailure("governance lanes do not enforce")
      }
    }
    let sync = SyncRun(
      metadata: metadata, connection: open.connection, worker: worker, limits: syncLimits, progress: progress)
    let sweep = SweepRun(metadata: metadata, connection: open.connection, worker: worker, limits: targets.limits)
    for job in jobs where job.kind == .sync {
      if job.scope.subject == .sweep || job.scope.subject == .everything {
        if let result = try await sweep.run(job, lane: open.lane, in: session) { results.append(result) }
        continue
      }
      results.append(try await sync.run(job, lane: open.lane, in: session))
    }
    return results
  }
}
