import Postgres

/// What a lane locks: the role catalogue of an instance, one of its databases, or nothing but this database.
package enum LaneKind: String, Sendable { case roles, database, governance }

/// A lock domain of a target, worked by one worker at a time.
package struct Lane: Sendable, Hashable {
  package let id: Int64
  package let connection: Int64
  package let kind: LaneKind
  /// The securable id and the name of the database, for a lane of kind database.
  package let database: Int64?
  package let databaseName: String?
  /// The database's OID as of the last sync: another database may have its name by now.
  package let databaseOID: Int64?
  /// A sync has found the database to be gone, and with it everything that was granted there.
  package let isDropped: Bool
}

extension MetadataSession {
  private static let laneColumns = """
    select l.id, l.connection_id, l.kind, l.database_id, d.name as database_name, d.oid as database_oid,
      coalesce(d.dropped_at is not null, false) as is_dropped
    from lane l left join securable d on d.id = l.database_id
    """

  package func lane(id: Int64) async throws -> Lane {
    let rows = try await connection.query("\(Self.laneColumns) where l.id = $1", [.int8(id)]).rows
    guard let row = rows.first else { throw MetadataError(.notFound, "there is no lane \(id)") }
    return try Self.decodeLane(row)
  }

  /// The lanes of a connection: roles and governance first, then its databases that still exist.
  package func lanes(of connectionID: Int64) async throws -> [Lane] {
    try await connection.query(
      "\(Self.laneColumns) where l.connection_id = $1 and d.dropped_at is null order by l.kind desc, l.id",
      [.int8(connectionID)]
    ).rows.map(Self.decodeLane)
  }

  /// Those of these lanes that there are, with the names of their connections.
  package func lanes(numbered numbers: [Int64]) async throws -> [(lane: Lane, connection: String)] {
    try await connection.query(
      """
      select l.id, l.connection_id, l.kind, l.database_id, d.name as database_name, d.oid as database_oid,
        coalesce(d.dropped_at is not null, false) as is_dropped, c.name as connection
      from lane l join connection c on c.id = l.connection_id left join securable d on d.id = l.database_id
      where l.id = any ($1)
      """, [.int8Array(numbers)]
    ).rows.map { (try Self.decodeLane($0), try $0.text("connection")) }
  }

  package func lane(_ kind: LaneKind, of connectionID: Int64) async throws -> Lane {
    let rows = try await connection.query(
      "\(Self.laneColumns) where l.connection_id = $1 and l.kind = $2", [.int8(connectionID), .text(kind.rawValue)]
    ).rows
    guard let row = rows.first else {
      throw MetadataError(.corrupt, "connection \(connectionID) has no lane of kind \(kind.rawValue)")
    }
    return try Self.decodeLane(row)
  }

  package func lane(ofDatabase database: Int64) async throws -> Lane {
    let rows = try await connection.query("\(Self.laneColumns) where l.database_id = $1", [.int8(database)]).rows
    guard let row = rows.first else { throw MetadataError(.notFound, "database \(database) has no lane") }
    return try Self.decodeLane(row)
  }

  private static func decodeLane(_ row: PostgresRow) throws -> Lane {
    guard let kind = LaneKind(rawValue: try row.text("kind")) else {
      throw MetadataError(.corrupt, "lane \(try row.int("id")) is of an unknown kind")
    }
    return Lane(
      id: try row.int("id"), connection: try row.int("connection_id"), kind: kind,
      database: try row.optionalInt("database_id"), databaseName: try row.optionalText("database_name"),
      databaseOID: try row.optionalInt("database_oid"), isDropped: try row.bool("is_dropped"))
  }
}
