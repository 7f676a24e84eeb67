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
  var relations: [UInt32: Relation] = [:]

  static func read(_ oids: Set<UInt32>, in session: PostgresConnection) async throws -> CatalogFacts {
    let database = try await session.query(
      "select oid::bigint as oid from pg_database where datname = current_database()")
    var facts = CatalogFacts(databaseOID: UInt32(truncatingIfNeeded: try database.rows[0].int("oid")))
    let rows = try await session.query(
      statement(PackageResources.catalog_relations_sql), [.int8Array(oids.map(Int64.init))]
    ).rows
    for row in rows {
      guard let kind = SecurableKind(relkind: try row.text("kind")) else { continue }
      facts.relations[UInt32(truncatingIfNeeded: try row.int("oid"))] = Relation(
        kind: kind, schemaOID: UInt32(truncatingIfNeeded: try row.int("schema_oid")),
        ownedSequences: try row.intArray("sequences").map { UInt32(truncatingIfNeeded: $0) })
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
  /// Grants to the same roles by other grantors, with those grantors.
  var foreign: [Grant: [String]] = [:]
  /// What everybody has: USAGE of schemas, CONNECT to the database.
  var publicly: Set<PublicGrant> = []

  struct PublicGrant: Hashable, Sendable {
    let securable: SecurableOID
    let privilege: Privilege
  }

  static func read(
    roles: Set<RoleName>, relations: Set<UInt32>, in session: PostgresConnection
  ) async throws -> ObservedState {
    var state = ObservedState()
    let rows = try await session.query(
      statement(PackageResources.observed_grants_sql),
      [.textArray(roles.map(\.value)), .int8Array(relations.map(Int64.init))]
    ).rows
    for row in rows {
      // Privileges that Sluice never grants (REFERENCES, TRIGGER, CREATE …) are none of its business.
      guard let privilege = Privilege(rawValue: try row.text("privilege")),
        let family = SecurableFamily(name: try row.text("family"))
      else { continue }
      let securable = SecurableOID(family: family, oid: UInt32(truncatingIfNeeded: try row.int("oid")))
      let role = try row.text("role")
      if role.isEmpty {
        state.publicly.insert(PublicGrant(securable: securable, privilege: privilege))
        continue
      }
      let grant = Grant(grantee: try RoleName(role), securable: securable, privilege: privilege)
      if try row.bool("is_ours") {
        state.ours.insert(grant)
      } else {
        state.foreign[grant, default: []].append(try row.text("grantor"))
      }
    }
    return state
  }
}

extension SecurableFamily {
  init?(name: String) {
    guard let family = Self.allCases.first(where: { $0.rawValue == name }) else { return nil }
    self = family
  }
}
