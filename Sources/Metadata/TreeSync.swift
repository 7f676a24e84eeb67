import Postgres

/// Bringing the tree to what a crawl found: by OID first (a rename keeps its row), then by name (dropped and made
/// again), then as new. Compared by set operations in the database.
extension MetadataSession {
  /// Databases of a connection. New ones get a lane; the lanes of dropped ones stay for their history.
  package func syncDatabases(
    of connectionID: Int64, found: [CrawledSchema]
  ) async throws -> TreeChanges {
    try await stage(schemas: found, relations: [])
    let changes = try await changes(statement(PackageResources.sync_databases_sql), [.int8(connectionID)])
    _ = try await connection.query(
      """
      insert into lane (connection_id, kind, database_id)
      select s.connection_id, 'database', s.id from securable s
      where s.connection_id = $1 and s.kind = 'database'
      on conflict do nothing
      """, [.int8(connectionID)])
    _ = try await connection.query(
      "update connection set synced_at = now() where id = $1", [.int8(connectionID)])
    return changes
  }

  /// Schemas and relations of a database; with a `schema` or `relation` id, that part of it alone.
  package func syncDatabase(
    _ database: Int64, schema: Int64?, relation: Int64?, schemas: [CrawledSchema], relations: [CrawledRelation]
  ) async throws -> TreeChanges {
    try await stage(schemas: schemas, relations: relations)
    var all = TreeChanges()
    if relation == nil {
      all = try await changes(
        statement(PackageResources.sync_schemas_sql), [.int8(database), .optional(schema)])
    }
    let below = try await changes(
      statement(PackageResources.sync_relations_sql), [.int8(database), .optional(schema), .optional(relation)])
    return all + below
  }

  private func stage(schemas: [CrawledSchema], relations: [CrawledRelation]) async throws {
    _ = try await connection.execute(statement(PackageResources.stage_crawl_sql))
    _ = try await connection.copyIn(
      "copy crawled_schema (oid, name, owner) from stdin (format binary)",
      rows: schemas.map { [.int8(Int64($0.oid)), .text($0.name), .text($0.owner)] })
    _ = try await connection.copyIn(
      "copy crawled_relation (oid, schema_oid, name, kind, owner) from stdin (format binary)",
      rows: relations.map {
        [
          .int8(Int64($0.oid)), .int8(Int64($0.schemaOID)), .text($0.name), .text($0.kind.rawValue), .text($0.owner),
        ]
      })
    _ = try await connection.execute("analyze crawled_schema; analyze crawled_relation")
  }

  private func changes(_ sql: String, _ parameters: [PostgresValue]) async throws -> TreeChanges {
    var changes = TreeChanges()
    for row in try await connection.query(sql, parameters).rows {
      let id = try row.int("id")
      switch try row.text("change") {
      case "added": changes.added.append(id)
      case "renamed": changes.renamed.append(id)
      case "recreated": changes.recreated.append(id)
      default: changes.dropped.append(id)
      }
    }
    return changes
  }
}
