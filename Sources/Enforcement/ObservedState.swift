import Governance
import Postgres

/// What a target's catalog says, read back from its access control lists.
struct ObservedState: Sendable {
  /// Grants that our own REVOKE removes.
  private(set) var ours: Set<Grant> = []
  /// The roles that those are granted by.
  private(set) var grantors: [Grant: String] = [:]
  /// What owners have from being owners: it needs no grant, and is not ours to take.
  private(set) var owned: Set<Grant> = []
  /// What everybody has: USAGE of schemas, CONNECT to the database.
  private(set) var publicly: Set<PublicGrant> = []
  /// Every entry below the database in an access control list, whoever made it and whatever it allows.
  private(set) var entries: [Entry] = []

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

  /// Reads what these roles hold on the relations, the sequences that their columns own, the schemas of both and those
  /// named, and the database.
  static func read(
    roles: Set<RoleName>, relations: Set<UInt32>, schemas: Set<UInt32> = [], in session: PostgresConnection
  ) async throws -> ObservedState {
    var state = ObservedState()
    let rows = try await session.queryPrepared(
      statement(PackageResources.observed_grants_sql),
      [
        .textArray(roles.map(\.value)), .int8Array(relations.map(Int64.init)), .int8Array(schemas.map(Int64.init)),
      ], isPlannedOnce: true
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
    if let granted, isOurs {
      ours.insert(granted)
      grantors[granted] = try row.text("grantor")
    }
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
