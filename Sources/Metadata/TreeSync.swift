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

  /// Schemas and relations of a database; with a `schema` or `relation` id, that part of it alone. A part comes with all
  /// that is in it by OID or by name, and with the schemas that hold it now.
  ///
  /// - Throws: at the commit, `23P01` if a part has taken a name that the tree gives to something outside it: only a
  ///   sync of the whole database can tell what became of that.
  package func syncDatabase(
    _ database: Int64, schema: Int64?, relation: Int64?, schemas: [CrawledSchema], relations: [CrawledRelation]
  ) async throws -> TreeChanges {
    try await stage(schemas: schemas, relations: relations)
    // No schema has the id of a relation: what is not crawled stays as it is.
    let above = try await changes(
      statement(PackageResources.sync_schemas_sql), [.int8(database), .optional(schema ?? relation)])
    let revived = try await changes(statement(PackageResources.revive_relations_sql), [.int8(database)])
    let below = try await changes(
      statement(PackageResources.sync_relations_sql), [.int8(database), .optional(schema), .optional(relation)])
    return above + revived + below
  }

  /// Waits for whoever holds the lane in this database, until the end of the transaction: what is crawled after this
  /// is newer than what is stored before.
  package func lock(lane id: Int64) async throws {
    _ = try await connection.query("select from lane where id = $1 for no key update", [.int8(id)])
  }

  /// The OIDs of the relations of a schema, as of the last sync.
  package func relationOIDs(in schema: Int64) async throws -> [UInt32] {
    try await connection.query(
      "select oid from securable where parent_id = $1 and dropped_at is null", [.int8(schema)]
    ).rows.map { UInt32(truncatingIfNeeded: try $0.int("oid")) }
  }

  /// Of these securables, those that Sluice granted to users' roles directly.
  package func directlyGranted(among ids: [Int64]) async throws -> [Int64] {
    try await connection.query(
      "select distinct securable_id from managed_grant where securable_id = any ($1) order by 1", [.int8Array(ids)]
    ).rows.map { try $0.int("securable_id") }
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
      case "moved":
        changes.renamed.append(id)
        changes.moved.append(id)
      case "recreated": changes.recreated.append(id)
      default: changes.dropped.append(id)
      }
    }
    return changes
  }
}
