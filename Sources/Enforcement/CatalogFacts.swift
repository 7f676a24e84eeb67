import Governance
import Postgres

/// Facts of a target's catalog that grants depend on, and what its securables are called at this moment.
struct CatalogFacts: Sendable {
  struct Relation: Sendable {
    let kind: SecurableKind
    let schemaOID: UInt32
    /// False for one that is only known because a sequence serves it too.
    let isAsked: Bool
    /// What an INSERT takes numbers from.
    fileprivate(set) var sequences: [UInt32] = []
    /// Privileges that do something here: a view that cannot be written needs none for it.
    fileprivate(set) var effective = Set(Privilege.allCases)
  }

  private(set) var databaseOID: UInt32 = 0
  private(set) var relations: [UInt32: Relation] = [:]
  /// The relations that a sequence serves, by the sequence.
  private(set) var servedBySequence: [UInt32: [UInt32]] = [:]
  private(set) var names = GrantStatements.Names()

  static func read(
    _ relations: Set<UInt32>, schemas: Set<UInt32> = [], in session: PostgresConnection
  ) async throws -> CatalogFacts {
    var facts = CatalogFacts()
    try await facts.add(relations, schemas: schemas, in: session)
    return facts
  }

  mutating func add(
    _ relations: Set<UInt32> = [], schemas: Set<UInt32>, in session: PostgresConnection
  ) async throws {
    let rows = try await session.queryPrepared(
      statement(PackageResources.catalog_facts_sql),
      [.int8Array(relations.map(Int64.init)), .int8Array(schemas.map(Int64.init))], isPlannedOnce: true
    ).rows
    for row in rows { try note(row) }
  }

  /// The sequences that serve these relations, with what else they serve.
  static func sequences(of relations: Set<UInt32>, in session: PostgresConnection) async throws -> [PostgresRow] {
    guard !relations.isEmpty else { return [] }
    return try await session.queryPrepared(
      statement(PackageResources.sequence_uses_sql), [.int8Array(relations.map(Int64.init))]
    ).rows
  }

  static func served(by sequences: [PostgresRow]) throws -> Set<UInt32> {
    Set(try sequences.compactMap { try $0.optionalInt("relation").map(UInt32.init(truncatingIfNeeded:)) })
  }

  /// - Parameter asked: the relations whose sequences these are; one that was dropped since is none any more
  mutating func note(sequences: [PostgresRow], of asked: Set<UInt32>) throws {
    for row in sequences {
      let sequence = UInt32(truncatingIfNeeded: try row.int("oid"))
      let schema = (oid: UInt32(truncatingIfNeeded: try row.int("schema_oid")), name: try row.text("schema"))
      try names.add(SecurableOID(family: .schema, oid: schema.oid), schema.name)
      try names.add(SecurableOID(family: .sequence, oid: sequence), try row.text("name"), in: schema.name)
      // Also one that serves nothing any more: what roles have of it is read.
      servedBySequence[sequence, default: []] += []
      guard let relation = try row.optionalInt("relation").map(UInt32.init(truncatingIfNeeded:)),
        let kind = SecurableKind(relkind: try row.text("kind")), relations[relation] != nil || !asked.contains(relation)
      else { continue }
      servedBySequence[sequence, default: []].append(relation)
      let schemaOID = UInt32(truncatingIfNeeded: try row.int("relation_schema"))
      relations[relation, default: Relation(kind: kind, schemaOID: schemaOID, isAsked: false)]
        .sequences.append(sequence)
    }
  }

  private mutating func note(_ row: PostgresRow) throws {
    let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
    let name = try row.text("name")
    switch try row.text("family") {
    case "database":
      databaseOID = oid
      try names.add(SecurableOID(family: .database, oid: oid), name)
    case "schema": try names.add(SecurableOID(family: .schema, oid: oid), name)
    default:
      let schema = (oid: UInt32(truncatingIfNeeded: try row.int("schema_oid")), name: try row.text("schema"))
      let kind = try row.text("kind")
      let family: SecurableFamily = kind == "S" ? .sequence : .table
      try names.add(SecurableOID(family: .schema, oid: schema.oid), schema.name)
      try names.add(SecurableOID(family: family, oid: oid), name, in: schema.name)
      if let kind = SecurableKind(relkind: kind) {
        relations[oid] = Relation(kind: kind, schemaOID: schema.oid, isAsked: true)
      }
    }
  }

  /// Finds out which of these views can be written, and how. The server cannot say so of a view over a foreign table
  /// without a handler: then all of them are taken for writable, and nothing is lost by a privilege too many.
  mutating func readUpdatability(of views: Set<UInt32>, in session: PostgresConnection) async throws {
    guard !views.isEmpty else { return }
    let rows: [PostgresRow]
    do {
      rows = try await session.savepoint {
        try await $0.query(
          """
          select v.oid::bigint as oid, pg_relation_is_updatable(v.oid, true) as events
          from unnest($1::bigint[]::oid[]) as v (oid)
          """, [.int8Array(views.map(Int64.init))])
      }.rows
    } catch let error as PostgresError {
      guard error.code == .server, await session.isInTransaction else { throw error }
      return
    }
    for row in rows {
      let events = try row.int("events")
      let writing = Self.events.filter { events & $0.bit == 0 }.map(\.privilege)
      relations[UInt32(truncatingIfNeeded: try row.int("oid"))]?.effective.subtract(writing)
    }
  }

  /// Bits of `pg_relation_is_updatable`: one shifted by the server's numbers of the statements (`CmdType` in nodes.h).
  private static let events: [(bit: Int64, privilege: Privilege)] = [(4, .update), (8, .insert), (16, .delete)]
}

extension SecurableKind {
  /// `pg_class.relkind`; nil for kinds that nobody subscribes to (indexes, TOAST tables, composite types).
  init?(relkind: String) {
    switch relkind {
    case "r": self = .table
    case "p": self = .partitionedTable
    case "v": self = .view
    case "m": self = .materializedView
    case "f": self = .foreignTable
    default: return nil
    }
  }
}
