import Governance
import Postgres

/// Facts of a target's catalog that grants depend on.
struct CatalogFacts: Sendable {
  struct Relation: Sendable {
    let kind: SecurableKind
    let schemaOID: UInt32
    let ownedSequences: [UInt32]
  }

  var databaseOID: UInt32
  private(set) var relations: [UInt32: Relation] = [:]
  /// The table whose column owns a sequence, by the sequence.
  private(set) var ownerOfSequence: [UInt32: UInt32] = [:]

  static func read(_ oids: Set<UInt32>, in session: PostgresConnection) async throws -> CatalogFacts {
    let database = try await session.query(
      "select oid::bigint as oid from pg_database where datname = current_database()")
    var facts = CatalogFacts(databaseOID: UInt32(truncatingIfNeeded: try database.rows[0].int("oid")))
    let rows = try await session.query(
      statement(PackageResources.catalog_relations_sql), [.int8Array(oids.map(Int64.init))]
    ).rows
    for row in rows {
      guard let kind = SecurableKind(relkind: try row.text("kind")) else { continue }
      let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
      let sequences = try row.intArray("sequences").map { UInt32(truncatingIfNeeded: $0) }
      facts.relations[oid] = Relation(
        kind: kind, schemaOID: UInt32(truncatingIfNeeded: try row.int("schema_oid")), ownedSequences: sequences)
      for sequence in sequences { facts.ownerOfSequence[sequence] = oid }
    }
    return facts
  }
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

/// What a target's catalog says, read back from its access control lists.
struct ObservedState: Sendable {
  /// Grants that our own REVOKE removes.
  var ours: Set<Grant> = []
  /// What owners have from being owners: it needs no grant, and is not ours to take.
  var owned: Set<Grant> = []
  /// What everybody has: USAGE of schemas, CONNECT to the database.
  var publicly: Set<PublicGrant> = []
  /// Every entry below the database in an access control list, whoever made it and whatever it allows.
  var entries: [Entry] = []

  struct PublicGrant: Hashable, Sendable {
    let securable: SecurableOID
    let privilege: Privilege
  }

  /// A reason to keep USAGE and CONNECT.
  struct Entry: Sendable {
    let grantee: RoleName
    /// The schema that the entry needs USAGE of; nil for the entries of schemas themselves.
    let schema: UInt32?
    /// Nil for what is not ours to revoke.
    let grant: Grant?
  }

  static func read(
    roles: Set<RoleName>, relations: Set<UInt32>, in session: PostgresConnection
  ) async throws -> ObservedState {
    var state = ObservedState()
    let rows = try await session.query(
      statement(PackageResources.observed_grants_sql),
      [.textArray(roles.map(\.value)), .int8Array(relations.map(Int64.init))]
    ).rows
    for row in rows { try state.note(row) }
    return state
  }

  private mutating func note(_ row: PostgresRow) throws {
    let role = try row.text("role")
    let grant = try Self.grant(row)
    if role.isEmpty {
      if let grant { publicly.insert(PublicGrant(securable: grant.securable, privilege: grant.privilege)) }
      return
    }
    let grantee = try RoleName(role)
    let granted = grant.map { Grant(grantee: grantee, securable: $0.securable, privilege: $0.privilege) }
    if try row.bool("is_owned") {
      if let granted { owned.insert(granted) }
      return
    }
    let isOurs = try row.bool("is_ours")
    if let granted, isOurs { ours.insert(granted) }
    let family = SecurableFamily(name: try row.text("family"))
    guard family != .database else { return }
    let schema = family == .schema ? nil : UInt32(truncatingIfNeeded: try row.int("schema"))
    entries.append(Entry(grantee: grantee, schema: schema, grant: isOurs ? granted : nil))
  }

  /// Nil for privileges that Sluice never grants (REFERENCES, TRIGGER, CREATE …).
  private static func grant(_ row: PostgresRow) throws -> (securable: SecurableOID, privilege: Privilege)? {
    guard let privilege = Privilege(rawValue: try row.text("privilege")),
      let family = SecurableFamily(name: try row.text("family"))
    else { return nil }
    return (SecurableOID(family: family, oid: UInt32(truncatingIfNeeded: try row.int("oid"))), privilege)
  }
}

extension SecurableFamily {
  init?(name: String) {
    guard let family = Self.allCases.first(where: { $0.rawValue == name }) else { return nil }
    self = family
  }
}
