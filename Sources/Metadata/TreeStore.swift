import Governance
import Postgres

/// Reading the tree, and what is enabled in it.
extension MetadataSession {
  private static let securableColumns = """
    select t.id, t.connection_id, coalesce(t.database_id, t.id) as database_id, t.parent_id, t.kind, t.oid, t.owner,
      t.setting, c.name as connection,
      case t.kind when 'database' then t.name when 'schema' then p.name else g.name end as database,
      case when t.kind = 'database' then null when t.kind = 'schema' then t.name else p.name end as schema,
      case when t.kind in ('database', 'schema') then null else t.name end as relation,
      coalesce(nullif(t.setting, 'inherit'), nullif(p.setting, 'inherit'), nullif(g.setting, 'inherit'),
        c.new_data_sources) = 'enabled' and c.state not in ('inactive', 'deleting', 'deleted') as enabled
    from securable t
      join connection c on c.id = t.connection_id
      left join securable p on p.id = t.parent_id
      left join securable g on g.id = p.parent_id
    where t.dropped_at is null and c.state <> 'deleted'
    """

  /// The securable at a path of two to four parts.
  package func securable(at path: SecurablePath) async throws -> Securable {
    let found = try await securables(below: path, depth: 0)
    guard let securable = found.first else {
      throw MetadataError(
        .notFound, "there is no \(path) in the tree as of the last sync; see: sluice tree \(path.connection)")
    }
    return securable
  }

  package func securable(id: Int64) async throws -> Securable? {
    try await connection.query("\(Self.securableColumns) and t.id = $1", [.int8(id)]).rows.map(Self.decodeSecurable)
      .first
  }

  /// The securable at `path` and what is below it, `depth` levels down, in the order of their paths.
  package func securables(below path: SecurablePath, depth: Int) async throws -> [Securable] {
    let level = path.parts.count
    return try await connection.query(
      """
      select * from (\(Self.securableColumns)) s
      where s.connection = $1 and ($2::text is null or s.database = $2) and ($3::text is null or s.schema = $3)
        and ($4::text is null or s.relation = $4)
        and 2 + (s.schema is not null)::int + (s.relation is not null)::int between $5 and $5 + $6
      order by s.database, s.schema nulls first, s.relation nulls first
      """,
      [
        .text(path.connection), .optional(path.database), .optional(path.schema), .optional(path.table),
        .int8(Int64(max(level, 2))), .int8(Int64(level == 1 ? depth - 1 : depth)),
      ]
    ).rows.map(Self.decodeSecurable)
  }

  /// The OIDs of a connection's databases, as of the last sync.
  package func databaseOIDs(of connectionID: Int64) async throws -> [UInt32] {
    try await connection.query(
      "select oid from securable where connection_id = $1 and kind = 'database' and dropped_at is null",
      [.int8(connectionID)]
    ).rows.map { UInt32(truncatingIfNeeded: try $0.int("oid")) }
  }

  /// Sets what a level says about itself and everything below that does not say otherwise; true if it was a change.
  package func set(_ setting: Securable.Setting, on id: Int64) async throws -> Bool {
    try await connection.query(
      "update securable set setting = $2 where id = $1 and setting <> $2", [.int8(id), .text(setting.rawValue)]
    ).affected > 0
  }

  /// The columns of a relation in their order, as of the last sync, with their types as its database writes them.
  package func columns(of id: Int64) async throws -> [(name: String, type: String)] {
    try await connection.query(
      """
      select c.name, c.type from relation_columns k cross join unnest(k.names, k.types) with ordinality as c (name, type, at)
      where k.securable_id = $1 order by c.at
      """, [.int8(id)]
    ).rows.map { (try $0.text("name"), try $0.text("type")) }
  }

  /// The data sources at or below a securable.
  package func dataSources(below id: Int64) async throws -> [Securable] {
    try await connection.query(
      """
      \(Self.securableColumns) and t.kind not in ('database', 'schema') and $1 in (t.id, t.parent_id, p.parent_id)
      """, [.int8(id)]
    ).rows.map(Self.decodeSecurable)
  }

  private static func decodeSecurable(_ row: PostgresRow) throws -> Securable {
    let setting = Securable.Setting(rawValue: try row.text("setting"))
    guard let kind = SecurableKind(rawValue: try row.text("kind")), let setting else {
      throw MetadataError(.corrupt, "securable \(try row.int("id")) was written by another version")
    }
    let parts = [
      try row.text("connection"), try row.optionalText("database"), try row.optionalText("schema"),
      try row.optionalText("relation"),
    ].compactMap(\.self)
    return Securable(
      id: try row.int("id"), connection: try row.int("connection_id"), database: try row.int("database_id"),
      parent: try row.optionalInt("parent_id"), kind: kind, path: try SecurablePath(parts: parts),
      oid: UInt32(truncatingIfNeeded: try row.int("oid")), owner: try row.text("owner"), setting: setting,
      isEnabled: try row.bool("enabled"))
  }
}
