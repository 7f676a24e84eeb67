import Governance
import Metadata
import Postgres

/// What the metadata database says that roles should be able to do in one database of a target.
struct DesiredState: Sendable {
  struct Access: Sendable, Hashable {
    let role: RoleName
    let roleKind: ManagedRole.Kind
    let securable: Int64
    let oid: UInt32
    let schemaOID: UInt32
    let kind: SecurableKind
    let access: AccessLevel
  }

  var accesses: [Access] = []
  /// Roles whose names PostgreSQL cannot take, with the reason and the data sources that they should have.
  var invalidRoles: [String: InvalidRole] = [:]

  struct InvalidRole: Sendable {
    let reason: String
    var securables: Set<Int64> = []

    var failure: Failure { .invalidRole(reason) }
  }

  mutating func note(_ row: PostgresRow) throws {
    let name = try row.text("role")
    let role: RoleName
    do { role = try RoleName(name) } catch {
      invalidRoles[name, default: .init(reason: error.message)].securables.insert(try row.int("securable_id"))
      return
    }
    guard let kind = SecurableKind(rawValue: try row.text("kind")) else { return }
    accesses.append(
      Access(
        role: role, roleKind: try row.text("role_kind") == "user" ? .user : .audience,
        securable: try row.int("securable_id"), oid: UInt32(truncatingIfNeeded: try row.int("oid")),
        schemaOID: UInt32(truncatingIfNeeded: try row.int("schema_oid")), kind: kind,
        access: try row.text("access") == "write" ? .write : .read))
  }

  private struct Entrance: Hashable {
    let role: RoleName
    let schema: UInt32
  }

  /// The grants that the accesses come to, given the target's own facts: which relations exist, which sequences
  /// serve them; with the audiences that carry prerequisites for users.
  func grants(in catalog: CatalogFacts, _ ways: WaysIn) -> Set<Grant> {
    var grants = ways.grants.union(ways.direct).filter { catalog.names[$0.securable] != nil }
    let open = ways.open
    var entered: Set<Entrance> = []
    for access in accesses {
      guard let relation = catalog.relations[access.oid] else { continue }
      if access.access == .write, relation.effective.contains(.insert) {
        for sequence in relation.sequences {
          grants.insert(
            Grant(
              grantee: access.role, securable: SecurableOID(family: .sequence, oid: sequence), privilege: .usage))
        }
      }
      guard relation.isAsked else { continue }
      for privilege in access.access.privileges(on: relation.kind).intersection(relation.effective) {
        grants.insert(
          Grant(
            grantee: access.role, securable: SecurableOID(kind: relation.kind, oid: access.oid), privilege: privilege))
      }
      func need(_ privilege: Privilege, _ securable: SecurableOID) {
        guard access.roleKind == .audience || open[securable] == nil else { return }
        grants.insert(Grant(grantee: access.role, securable: securable, privilege: privilege))
      }
      guard entered.insert(Entrance(role: access.role, schema: relation.schemaOID)).inserted else { continue }
      need(.usage, SecurableOID(family: .schema, oid: relation.schemaOID))
      need(.connect, SecurableOID(family: .database, oid: catalog.databaseOID))
    }
    return grants
  }
}

extension MetadataSession {
  /// The desired accesses to these securables of a database: of the roles, and of every role to the `whole` ones.
  func desiredAccesses(
    database: Int64, securables: [Int64], roles: Set<String>, whole: Set<Int64>, everything: Bool
  ) async throws -> DesiredState {
    var state = DesiredState()
    let asked = DesiredQuestion(
      database: database, whole: everything ? securables : securables.filter(whole.contains),
      others: everything ? [] : securables.filter { !whole.contains($0) }, roles: roles,
      people: everything ? [] : try await people(of: roles))
    guard !asked.parts.isEmpty else { return state }
    for row in try await connection.queryPrepared(asked.sql, asked.parameters, isPlannedOnce: true).rows {
      try state.note(row)
    }
    return state
  }

  /// Whom these roles may belong to, on whatever connection.
  func people(of roles: Set<String>) async throws -> [Int64] {
    try await connection.query(statement(PackageResources.role_people_sql), [.textArray(Array(roles))]).rows
      .map { try $0.int("id") }
  }

  /// What roles should have on the relations of a database, and where they were given something.
  func desiredRelations(
    connection id: Int64, database: Int64, roles: Set<String>, everything: Bool
  ) async throws -> (desired: [RoleHoldings.Holder: Set<Privilege>], given: Set<RoleHoldings.Holder>) {
    var (desired, given) = ([RoleHoldings.Holder: Set<Privilege>](), Set<RoleHoldings.Holder>())
    let rows = try await connection.query(
      statement(PackageResources.desired_relations_sql),
      [
        .int8(id), .int8(database), .bool(everything), .textArray(Array(roles)),
        .int8Array(everything ? [] : try await people(of: roles)),
      ]
    ).rows
    for row in rows {
      let holder = RoleHoldings.Holder(
        role: try row.text("role"), relation: UInt32(truncatingIfNeeded: try row.int("oid")))
      guard let access = try row.optionalText("access").flatMap(AccessLevel.init) else {
        given.insert(holder)
        continue
      }
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { continue }
      desired[holder, default: []].formUnion(access.privileges(on: kind))
    }
    return (desired, given)
  }

  /// The schemas in which roles should have something, by role.
  func desiredSchemas(database: Int64, roles: Set<String>) async throws -> [String: Set<UInt32>] {
    var schemas: [String: Set<UInt32>] = [:]
    let rows = try await connection.queryPrepared(
      statement(PackageResources.desired_schemas_sql),
      [.int8(database), .textArray(Array(roles)), .int8Array(try await people(of: roles))], isPlannedOnce: true
    ).rows
    for row in rows {
      schemas[try row.text("role"), default: []].insert(UInt32(truncatingIfNeeded: try row.int("schema_oid")))
    }
    return schemas
  }

  /// The kinds of these of the roles that Sluice manages on a connection, and of every audience; or of all.
  func roleKinds(
    of id: Int64, among roles: Set<String>, everything: Bool
  ) async throws -> [String: ManagedRole.Kind] {
    let rows = try await connection.query(
      """
      select role, kind from managed_role
      where connection_id = $1 and dropped_at is null and ($2 or kind = 'audience' or role = any ($3))
      """, [.int8(id), .bool(everything), .textArray(Array(roles))]
    ).rows
    return try Dictionary(
      uniqueKeysWithValues: rows.map { (try $0.text("role"), try $0.text("kind") == "user" ? .user : .audience) })
  }

  /// The roles of audiences, as long as they are remembered.
  func audienceRoles(_ ids: [Int64]) async throws -> [Int64: String] {
    let rows = try await connection.query("select id, role from audience where id = any ($1)", [.int8Array(ids)]).rows
    return try Dictionary(uniqueKeysWithValues: rows.map { (try $0.int("id"), try $0.text("role")) })
  }

  /// The roles of users on a connection; those without an account there are left out.
  func userRoles(identities: [Int64], connection id: Int64) async throws -> [Int64: String] {
    let rows = try await connection.query(
      """
      select identity_id, role from user_role
      where connection_id = $1 and identity_id = any ($2) and role is not null
      """, [.int8(id), .int8Array(identities)]
    ).rows
    return try Dictionary(uniqueKeysWithValues: rows.map { (try $0.int("identity_id"), try $0.text("role")) })
  }
}

/// One statement, so that all of it is of one instant: who is to hold something in another way is not missed in between.
///
/// It has only the parts that are needed. Planning takes 10 to 15 ms a part, most of it for values that make no difference
/// to the plan, and each transaction in the target asks again (PostgreSQL 17, measured).
private struct DesiredQuestion {
  private(set) var parts: [String] = []
  private(set) var parameters: [PostgresValue]

  init(database: Int64, whole: [Int64], others: [Int64], roles: Set<String>, people: [Int64]) {
    parameters = [.int8(database)]
    if !whole.isEmpty { ask("and securable_id = any (\(bind(.int8Array(whole))))") }
    guard !others.isEmpty, !roles.isEmpty else { return }
    let (ids, names) = (bind(.int8Array(others)), bind(.textArray(Array(roles))))
    let these = "and securable_id = any (\(ids)) and role = any (\(names))"
    ask("\(these) and role_kind = 'audience'")
    if !people.isEmpty { ask("\(these) and role_kind = 'user' and identity_id = any (\(bind(.int8Array(people))))") }
  }

  var sql: String { parts.joined(separator: " union all ") }

  private mutating func ask(_ condition: String) {
    parts.append("\(statement(PackageResources.desired_accesses_sql)) \(condition)")
  }

  private mutating func bind(_ value: PostgresValue) -> String {
    parameters.append(value)
    return "$\(parameters.count)"
  }
}
