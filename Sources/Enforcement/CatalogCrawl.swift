import Governance
import Metadata
import Postgres

/// Reads what a target holds, leaving out what the platform itself put there (LAKEBASE.md 4.3).
enum CatalogCrawl {
  /// Databases of the instance: those that can be entered, and of those `known` all that still exist.
  static func databases(known: [UInt32], in session: PostgresConnection) async throws -> [CrawledSchema] {
    try await session.query(
      statement(PackageResources.crawl_databases_sql), [.int8Array(known.map(Int64.init))]
    ).rows.map(schema)
  }

  /// A part of a database: a schema by its OID and the name it had, in it only the relation that had a name if that is
  /// given, and relations by OID, which may have left the schema.
  struct Part: Sendable {
    let schemaOID: UInt32
    let schema: String
    var relation: String?
    var relationOIDs: [UInt32]
  }

  /// Schemas of the session's database.
  static func schemas(in session: PostgresConnection) async throws -> [CrawledSchema] {
    try await session.query(statement(PackageResources.crawl_schemas_sql)).rows.map(schema)
  }

  /// Relations of the session's database, or of a part of it.
  static func relations(_ part: Part?, in session: PostgresConnection) async throws -> [CrawledRelation] {
    try await session.query(
      statement(PackageResources.crawl_relations_sql),
      [
        .optional(part.map { Int64($0.schemaOID) }), .optional(part?.schema), .optional(part?.relation),
        .int8Array((part?.relationOIDs ?? []).map(Int64.init)),
      ]
    ).rows.compactMap { row in
      guard let kind = SecurableKind(relkind: try row.text("kind")) else { return nil }
      return CrawledRelation(
        oid: UInt32(truncatingIfNeeded: try row.int("oid")),
        schemaOID: UInt32(truncatingIfNeeded: try row.int("schema_oid")), name: try row.text("name"), kind: kind,
        owner: try row.text("owner"))
    }
  }

  private static func schema(_ row: PostgresRow) throws -> CrawledSchema {
    CrawledSchema(
      oid: UInt32(truncatingIfNeeded: try row.int("oid")), name: try row.text("name"), owner: try row.text("owner"))
  }
}
