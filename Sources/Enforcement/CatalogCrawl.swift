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

  /// Schemas of the session's database; only the named one when asked.
  static func schemas(named name: String? = nil, in session: PostgresConnection) async throws -> [CrawledSchema] {
    try await session.query(statement(PackageResources.crawl_schemas_sql), [.optional(name)]).rows.map(schema)
  }

  /// Relations of the session's database; only those of one schema, or of one OID or name in it, when asked.
  static func relations(
    schema: String? = nil, oid: UInt32? = nil, name: String? = nil, known: [UInt32] = [],
    in session: PostgresConnection
  ) async throws -> [CrawledRelation] {
    try await session.query(
      statement(PackageResources.crawl_relations_sql),
      [.optional(schema), .optional(oid.map(Int64.init)), .optional(name), .int8Array(known.map(Int64.init))]
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
