import Platform
import Postgres

/// Where the parts of a crawl go: COPYs in binary form, of exactly these columns.
package enum CrawlStage {
  /// Of schemas: `oid bigint, name text, owner text, token bigint`.
  package static let schemas = "copy crawled_schema (oid, name, owner, token) from stdin (format binary)"
  /// Of relations: `oid bigint, schema_oid bigint, name text, kind text, owner text, token bigint,
  /// columns_token bigint`.
  package static let relations =
    "copy crawled_relation (oid, schema_oid, name, kind, owner, token, columns_token) from stdin (format binary)"
  /// Of relations' columns: `oid bigint, token bigint, names text[], types text[]`.
  package static let columns = "copy crawled_columns (oid, token, names, types) from stdin (format binary)"
}

/// Bringing the tree to what a crawl found: by OID first (a rename keeps its row), then by name (dropped and made
/// again), then as new. Compared by set operations in the database.
extension MetadataSession {
  /// Databases of a connection. New ones get a lane; the lanes of dropped ones stay for their history.
  package func syncDatabases(
    of connectionID: Int64, found: [CrawledDatabase]
  ) async throws -> TreeChanges {
    try await beginCrawl()
    _ = try await connection.copyIn(
      "copy crawled_schema (oid, name, owner) from stdin (format binary)",
      rows: found.map { [.int8(Int64($0.oid)), .text($0.name), .text($0.owner)] })
    let changes = try Self.changes(
      try await connection.query(statement(PackageResources.sync_databases_sql), [.int8(connectionID)]).rows)
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

  /// Makes room for what a crawl finds: `CrawlStage` says where each of its parts goes. Gone with the transaction.
  package func beginCrawl() async throws {
    _ = try await connection.execute(statement(PackageResources.stage_crawl_sql))
  }

  /// Whether the tree of a whole database is what was crawled of it: then there is nothing to write.
  package func isCurrent(_ database: Int64, _ origin: CrawlOrigin) async throws -> Bool {
    _ = try await connection.execute(Self.examine)
    return try await inSets(
      statement(PackageResources.tree_is_current_sql),
      [.int8(database), .text(origin.text), .int8(origin.token)])[0].bool("is_current")
  }

  /// Brings schemas and relations of a database to what was crawled; with a `schema` or `relation` id, that part of it
  /// alone. A part comes with all that is in it by OID or by name, and with the schemas that hold it now.
  ///
  /// - Throws: at the commit, `23P01` if a part has taken a name that the tree gives to something outside it: only a
  ///   sync of the whole database can tell what became of that.
  package func syncDatabase(
    _ database: Int64, schema: Int64? = nil, relation: Int64? = nil, deadline: Deadline? = nil
  ) async throws -> TreeChanges {
    let part = schema ?? relation
    if part != nil {
      // A part's grants are not compared: whoever looks at all of the database next must find what moved the tokens.
      _ = try await connection.execute(
        "update crawled_schema set token = null; update crawled_relation set token = null;" + Self.examine)
    }
    func run(_ sql: [UInt8], _ parameters: PostgresValue...) async throws -> TreeChanges {
      let (sql, parameters) = (statement(sql), [.int8(database)] + parameters)
      return try Self.changes(
        part == nil
          ? try await inSets(sql, parameters, deadline)
          : try await connection.query(sql, parameters, deadline: deadline).rows)
    }
    // No schema has the id of a relation: what is not crawled stays as it is.
    let above = try await run(PackageResources.sync_schemas_sql, .optional(part))
    let revived = try await run(PackageResources.revive_relations_sql)
    return try await above + revived
      + run(PackageResources.sync_relations_sql, .optional(schema), .optional(relation))
  }

  /// The OIDs of those relations that were crawled whose columns have to be read; of a part, which comes without an
  /// origin, all of them.
  package func staleColumns(in database: Int64, _ origin: CrawlOrigin?) async throws -> [UInt32] {
    try await inSets(statement(PackageResources.stale_columns_sql), [.int8(database), .optional(origin?.text)])
      .map { UInt32(truncatingIfNeeded: try $0.int("oid")) }
  }

  /// Stores the columns that were staged, and makes room for the next.
  package func storeColumns(in database: Int64) async throws {
    _ = try await connection.execute("analyze crawled_columns")
    _ = try await connection.query(statement(PackageResources.store_columns_sql), [.int8(database)])
    _ = try await connection.execute("truncate crawled_columns")
  }

  /// The tokens that are stored of the whole database are of this origin from now on.
  package func note(_ origin: CrawlOrigin, of database: Int64) async throws {
    _ = try await connection.query(
      "update securable set token_origin = $2, token = $3 where id = $1",
      [.int8(database), .text(origin.text), .int8(origin.token)])
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

  private static let examine = "analyze crawled_schema; analyze crawled_relation"

  /// Compares all of a database. Where the server has not looked at the tree since it grew, it takes it for small and
  /// goes through it once a relation: a comparison that takes a tenth of a second takes minutes.
  private func inSets(
    _ sql: String, _ parameters: [PostgresValue], _ deadline: Deadline? = nil
  ) async throws -> [PostgresRow] {
    try await connection.pipeline(
      [
        PostgresStatement("set local enable_nestloop = off"), PostgresStatement(sql, parameters),
        PostgresStatement("reset enable_nestloop"),
      ], deadline: deadline)[1].rows
  }

  private static func changes(_ rows: [PostgresRow]) throws -> TreeChanges {
    var changes = TreeChanges()
    for row in rows {
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
