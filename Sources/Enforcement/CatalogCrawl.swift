import Governance
import Metadata
import Postgres

/// Reads what a target holds, leaving out what the platform itself put there (LAKEBASE.md 4.3). Schemas, relations and
/// columns go into the metadata database as they come, undecoded.
enum CatalogCrawl {
  /// The columns of so many relations are read at once: a second's work, and a few megabytes.
  private static let relationsAtOnce = 10_000

  /// Databases of the instance: those that can be entered, and of those `known` all that still exist.
  static func databases(known: [UInt32], in session: PostgresConnection) async throws -> [CrawledDatabase] {
    try await session.query(
      statement(PackageResources.crawl_databases_sql), [.int8Array(known.map(Int64.init))]
    ).rows.map { row in
      CrawledDatabase(
        oid: UInt32(truncatingIfNeeded: try row.int("oid")), name: try row.text("name"), owner: try row.text("owner"))
    }
  }

  /// A part of a database: a schema by its OID and the name it had, in it only the relation that had a name if that is
  /// given, and relations by OID, which may have left the schema.
  struct Part: Sendable {
    let schemaOID: UInt32
    let schema: String
    var relation: String?
    var relationOIDs: [UInt32]
  }

  /// What is in a part of a database, wherever it is now.
  struct Area: Sendable {
    var schemas: [UInt32] = []
    var relations: [UInt32] = []
  }

  static func area(of part: Part, in session: PostgresConnection) async throws -> Area {
    var area = Area()
    for row in try await session.query(
      statement(PackageResources.crawl_part_sql),
      [
        .int8(Int64(part.schemaOID)), .text(part.schema), .optional(part.relation),
        .int8Array(part.relationOIDs.map(Int64.init)),
      ]
    ).rows {
      let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
      if try row.bool("is_schema") { area.schemas.append(oid) } else { area.relations.append(oid) }
    }
    return area
  }

  /// What the tokens of the session's database mean something in.
  static func origin(in session: PostgresConnection) async throws -> CrawlOrigin {
    let row = try await session.query(statement(PackageResources.crawl_origin_sql)).rows[0]
    return CrawlOrigin(text: try row.text("origin"), token: try row.int("token"))
  }

  /// Stages schemas and relations of the session's database, or of an area of it, in one snapshot; returns how many
  /// relations there are.
  static func stage(
    _ area: Area?, of session: PostgresConnection, in metadata: MetadataSession, limits: SyncLimits,
    onRelations: @Sendable (Int) -> Void
  ) async throws -> Int {
    try await metadata.beginCrawl()
    try await session.pump(
      query(PackageResources.crawl_schemas_sql, of: area?.schemas), to: metadata.connection, CrawlStage.schemas)
    return try await session.pump(
      query(PackageResources.crawl_relations_sql, of: area?.relations), to: metadata.connection, CrawlStage.relations
    ) { count in
      guard count <= limits.mostRelations else { throw SyncLimits.Exceeded(limits: limits) }
      onRelations(count)
    }
  }

  /// Reads and stores the columns of relations, and tells from time to time of how many.
  static func storeColumns(
    of relations: [UInt32], in database: Int64, from session: PostgresConnection, in metadata: MetadataSession,
    onRelations: (Int) -> Void
  ) async throws {
    for start in stride(from: 0, to: relations.count, by: relationsAtOnce) {
      let end = min(start + relationsAtOnce, relations.count)
      try await session.pump(
        query(PackageResources.crawl_columns_sql, of: Array(relations[start..<end])), to: metadata.connection,
        CrawlStage.columns)
      try await metadata.storeColumns(in: database)
      onRelations(end)
    }
  }

  /// COPY takes no parameters: OIDs stand in the statement itself.
  private static func query(_ bytes: [UInt8], of oids: [UInt32]?) -> String {
    let list = oids.map { "'{\($0.map(String.init).joined(separator: ","))}'" } ?? "null"
    return statement(bytes).replacing("$1::", with: "\(list)::")
  }
}

/// Limits on the sync of a database.
package struct SyncLimits: Sendable {
  /// Relations of a database; one with more is not synced at all, rather than in part.
  package var mostRelations = 1_000_000
  /// A statement that compares all of them in the metadata database.
  package var comparison: Duration = .seconds(120)

  package init() {}

  struct Exceeded: Error, CustomStringConvertible {
    let limits: SyncLimits

    var description: String {
      "the database has more than \(limits.mostRelations) relations, which is the most that a sync takes"
    }
    var remedy: String {
      "raise SLUICE_SYNC_RELATION_LIMIT of the workers, keep part of them in another database, or drop what nobody "
        + "needs; then sync again"
    }
  }
}
