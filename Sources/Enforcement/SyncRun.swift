import Governance
import Metadata
import Platform
import Postgres

/// Object sync: crawls a part of a target, brings the tree to it, and submits what follows from the changes.
struct SyncRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let worker: String

  private struct Summary: Encodable {
    var found: Int
    var added: Int
    var renamed: Int
    var recreated: Int
    var dropped: Int
    /// Jobs that this one submitted; `--wait` waits for them too.
    var submitted: [String]
  }

  func run(_ job: ClaimedJob, lane: Lane, in session: PostgresConnection) async throws -> JobResult {
    switch job.scope.subject {
    case .connection: try await syncDatabases(job, in: session)
    case .database, .schema, .relation: try await syncPart(job, lane, in: session)
    default:
      JobResult(
        id: job.id, outcome: .discarded, error: "a sync of \(job.scope.subject.rawValue) means nothing",
        remedy: "submit a sync of a connection, database, schema or table")
    }
  }

  private func syncDatabases(_ job: ClaimedJob, in session: PostgresConnection) async throws -> JobResult {
    let known = try await metadata.read { try await $0.databaseOIDs(of: connection.id) }
    let found = try await CatalogCrawl.databases(known: known, in: session)
    let (changes, jobs) = try await metadata.transaction { metadata in
      let changes = try await metadata.syncDatabases(of: connection.id, found: found)
      var requests = try await metadata.lanes(of: connection.id).compactMap { lane in
        lane.database.map {
          JobRequest(lane: lane.id, kind: .sync, jobClass: job.jobClass, scope: .database($0), parent: job.id)
        }
      }
      if !changes.dropped.isEmpty { requests.append(try await evaluation(metadata, job)) }
      return (changes, try await metadata.submit(requests))
    }
    return result(job, found: found.count, changes, jobs)
  }

  private func syncPart(_ job: ClaimedJob, _ lane: Lane, in session: PostgresConnection) async throws -> JobResult {
    guard let database = lane.database else {
      return JobResult(id: job.id, outcome: .completed, result: nil)
    }
    let part = try await metadata.read { metadata in
      job.scope.subject == .database ? nil : try await metadata.securable(id: job.scope.securable ?? 0)
    }
    if job.scope.subject != .database && part == nil {
      return result(job, found: 0, TreeChanges(), [])
    }
    let schemas = try await crawlSchemas(part, in: session)
    let relations = try await crawlRelations(part, in: session)
    let (changes, jobs) = try await metadata.transaction { metadata in
      let changes = try await metadata.syncDatabase(
        database, schema: part?.kind == .schema ? part?.id : nil,
        relation: part.flatMap { $0.kind == .schema ? nil : $0.id }, schemas: schemas, relations: relations)
      return (changes, try await metadata.submit(try await consequences(of: changes, lane, job, metadata)))
    }
    return result(job, found: relations.count, changes, jobs)
  }

  private func crawlSchemas(_ part: Securable?, in session: PostgresConnection) async throws -> [CrawledSchema] {
    guard let part else { return try await CatalogCrawl.schemas(in: session) }
    guard part.kind == .schema else { return try await CatalogCrawl.schemas(named: part.path.schema, in: session) }
    let all = try await CatalogCrawl.schemas(in: session)
    return all.filter { $0.oid == part.oid || $0.name == part.path.schema }
  }

  private func crawlRelations(_ part: Securable?, in session: PostgresConnection) async throws -> [CrawledRelation] {
    guard let part else { return try await CatalogCrawl.relations(in: session) }
    if part.kind == .schema {
      // Also where its tables went: they may have moved, or the schema itself may have another name now.
      let known = try await metadata.read { try await $0.dataSources(below: part.id).map(\.oid) }
      return try await CatalogCrawl.relations(schema: part.path.schema, known: known, in: session)
    }
    return try await CatalogCrawl.relations(
      schema: part.path.schema, oid: part.oid, name: part.path.table, in: session)
  }

  /// Tables that were made again are granted again; and where anything changed, policies may mean something else.
  private func consequences(
    of changes: TreeChanges, _ lane: Lane, _ job: ClaimedJob, _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    guard !changes.isEmpty else { return [] }
    var requests = changes.recreated.map {
      JobRequest(lane: lane.id, kind: .subscribe, jobClass: .interactive, scope: .securable($0), parent: job.id)
    }
    requests.append(try await evaluation(metadata, job))
    return requests
  }

  private func evaluation(_ metadata: MetadataSession, _ job: ClaimedJob) async throws -> JobRequest {
    JobRequest(
      lane: try await metadata.lane(.governance, of: connection.id).id, kind: .evaluate, jobClass: .interactive,
      scope: .governance, parent: job.id)
  }

  private func result(_ job: ClaimedJob, found: Int, _ changes: TreeChanges, _ jobs: [SubmittedJob]) -> JobResult {
    JobResult(
      id: job.id, outcome: .completed,
      result: ResultText.json(
        Summary(
          found: found, added: changes.added.count, renamed: changes.renamed.count,
          recreated: changes.recreated.count, dropped: changes.dropped.count, submitted: jobs.map { "\($0.id)" })))
  }
}
