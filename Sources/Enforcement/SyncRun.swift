import Governance
import Metadata
import Platform
import Postgres

/// Object sync: crawls a part of a target, brings the tree to it, and submits what follows from the changes.
struct SyncRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let worker: String
  var limits = SyncLimits()
  var progress = JobProgress()

  private struct Summary: Encodable {
    var found: Int
    var added: Int
    var renamed: Int
    var recreated: Int
    var dropped: Int
    /// Relations whose columns were read: those that are new or have changed.
    var columns: Int
    /// Jobs that this one submitted; `--wait` waits for them too.
    var submitted: [String]
  }

  func run(_ job: ClaimedJob, lane: Lane, in session: PostgresConnection) async throws -> JobResult {
    switch job.scope.subject {
    case .connection: try await syncDatabases(job, lane, in: session)
    case .database, .schema, .relation: try await syncPart(job, lane, in: session)
    default:
      JobResult(
        id: job.id, outcome: .discarded, error: "a sync of \(job.scope.subject.rawValue) means nothing",
        remedy: "submit a sync of a connection, database, schema or table")
    }
  }

  private func syncDatabases(
    _ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection
  ) async throws -> JobResult {
    try await metadata.transaction { metadata in
      try await metadata.lock(lane: lane.id)
      let known = try await metadata.databaseOIDs(of: connection.id)
      let found = try await CatalogCrawl.databases(known: known, in: session)
      let changes = try await metadata.syncDatabases(of: connection.id, found: found)
      var requests = try await metadata.lanes(of: connection.id).compactMap { lane in
        lane.database.map {
          JobRequest(lane: lane.id, kind: .sync, jobClass: job.jobClass, scope: .database($0), parent: job.id)
        }
      }
      // Nobody can have changed what was never granted.
      if connection.syncedAt != nil { requests.append(comparison(lane, job)) }
      if !changes.dropped.isEmpty { requests.append(try await evaluation(metadata, job)) }
      return result(
        job, Found(relations: found.count, changes: changes), try await metadata.submit(requests))
    }
  }

  private func syncPart(_ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection) async throws -> JobResult {
    guard let database = lane.database else {
      return JobResult(id: job.id, outcome: .completed, result: nil)
    }
    let isWhole = job.scope.subject == .database
    defer { progress.forget(job.id) }
    do {
      return try await metadata.transaction { metadata in
        // Before the crawl: a worker that was paused after its own cannot overwrite what a later one stored.
        try await metadata.lock(lane: lane.id)
        let part = isWhole ? nil : try await metadata.securable(id: job.scope.securable ?? 0)
        if !isWhole && part == nil { return result(job, Found(), []) }
        let found = try await bring(database, part, job, metadata, in: session)
        let jobs = try await metadata.submit(try await consequences(of: found, lane, job, metadata))
        try await metadata.collectStatistics(of: "securable", changedRows: found.changes.added.count)
        return result(job, found, jobs)
      }
    } catch let error as SyncLimits.Exceeded {
      ReachedLimit.syncRelations.count()
      return JobResult(id: job.id, outcome: .discarded, error: error.description, remedy: error.remedy)
    } catch let error as PostgresError where !isWhole && error.sqlState == .exclusionViolation {
      // The part took a name from something outside it, and only a look at everything tells what that is called now.
      let request = JobRequest(
        lane: lane.id, kind: .sync, jobClass: job.jobClass, scope: .database(database), parent: job.id)
      return result(job, Found(), try await metadata.transaction { try await $0.submit([request]) })
    }
  }

  /// What a sync came to.
  private struct Found {
    var relations = 0
    var changes = TreeChanges()
    /// Whether anything that it read is not as the last sync of the whole database stored it, grants included.
    var hasMoved = false
    var columnsRead = 0
  }

  /// Brings the tree and the columns of a database, or of a part of it, to what is there.
  private func bring(
    _ database: Int64, _ part: Securable?, _ job: ClaimedJob, _ metadata: MetadataSession,
    in session: PostgresConnection
  ) async throws -> Found {
    let named = try await area(of: part, metadata)
    let (origin, relations) = try await session.transaction(isolation: .repeatableRead, readOnly: true) { session in
      var origin: CrawlOrigin?
      var area: CatalogCrawl.Area?
      if let named {
        area = try await CatalogCrawl.area(of: named, in: session)
      } else {
        origin = try await CatalogCrawl.origin(in: session)
      }
      let count = try await CatalogCrawl.stage(area, of: session, in: metadata, limits: limits) {
        progress.note(job.id, "\($0) relations found")
      }
      return (origin, count)
    }
    var found = Found(relations: relations)
    if let origin {
      if try await metadata.isCurrent(database, origin) { return found }
      found.hasMoved = true
    }
    found.changes = try await metadata.syncDatabase(
      database, schema: part?.kind == .schema ? part?.id : nil,
      relation: part.flatMap { $0.kind == .schema ? nil : $0.id }, deadline: .after(limits.comparison))
    let stale = try await metadata.staleColumns(in: database, origin)
    try await CatalogCrawl.storeColumns(of: stale, in: database, from: session, in: metadata) {
      progress.note(job.id, "columns of \($0) of \(stale.count) relations")
    }
    found.columnsRead = stale.count
    if let origin { try await metadata.note(origin, of: database) }
    return found
  }

  private func area(
    of part: Securable?, _ metadata: MetadataSession
  ) async throws -> CatalogCrawl.Part? {
    guard let part else { return nil }
    let name = part.path.schema ?? ""
    if part.kind == .schema {
      return CatalogCrawl.Part(
        schemaOID: part.oid, schema: name, relationOIDs: try await metadata.relationOIDs(in: part.id))
    }
    let schema = try await metadata.securable(id: part.parent ?? 0)
    return CatalogCrawl.Part(
      schemaOID: schema?.oid ?? 0, schema: name, relation: part.path.table, relationOIDs: [part.oid])
  }

  /// Tables that were made again or moved are granted again; what left the tree loses its direct grants, if it is still
  /// somewhere; and where anything changed, policies may mean something else.
  private func consequences(
    of found: Found, _ lane: Lane, _ job: ClaimedJob, _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    let changes = found.changes
    let again = changes.recreated + changes.moved
    // Before they are granted again: guardrails may have come while they were away.
    try await metadata.barByGuardrails(on: again)
    var requests = again.map {
      JobRequest(lane: lane.id, kind: .subscribe, jobClass: .interactive, scope: .securable($0), parent: job.id)
    }
    requests += try await metadata.placeSubscriptions(on: again, isLoss: false, parent: job.id)
    requests += try await metadata.directlyGranted(among: changes.dropped).map {
      JobRequest(lane: lane.id, kind: .revoke, jobClass: .revoke, scope: .securable($0), parent: job.id)
    }
    // Drift: where a token moved, and only there, somebody may have changed a grant.
    if found.hasMoved { requests.append(comparison(lane, job)) }
    if !changes.isEmpty { requests.append(try await evaluation(metadata, job)) }
    return requests
  }

  private func comparison(_ lane: Lane, _ job: ClaimedJob) -> JobRequest {
    JobRequest(lane: lane.id, kind: .sync, jobClass: .bulk, scope: .everything, parent: job.id)
  }

  private func evaluation(_ metadata: MetadataSession, _ job: ClaimedJob) async throws -> JobRequest {
    JobRequest(
      lane: try await metadata.lane(.governance, of: connection.id).id, kind: .evaluate, jobClass: .interactive,
      scope: .governance, parent: job.id)
  }

  private func result(_ job: ClaimedJob, _ found: Found, _ jobs: [SubmittedJob]) -> JobResult {
    let changes = found.changes
    return JobResult(
      id: job.id, outcome: .completed,
      result: ResultText.json(
        Summary(
          found: found.relations, added: changes.added.count, renamed: changes.renamed.count,
          recreated: changes.recreated.count, dropped: changes.dropped.count, columns: found.columnsRead,
          submitted: jobs.map { "\($0.id)" })))
  }
}
