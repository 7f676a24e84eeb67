import Governance
import Postgres

/// A user as governors see one.
package struct Identity: Sendable {
  package let id: Int64
  package let name: String
  package let email: String?
  /// The role on every connection without a mapping of its own; without it the user's name is the role.
  package let role: String?
  package let groups: [String]
  package let attributes: [String: [String]]
}

/// How a user is known on a connection.
package enum RoleMapping: Sendable, Equatable {
  case role(String)
  /// The user has no account there.
  case noAccount
  /// Back to the user's own role.
  case unset
}

/// Users, groups and attributes. Each change says whether it was one; the caller submits what it needs.
extension MetadataSession {
  package func addIdentity(name: String, email: String?, role: String?) async throws -> Int64 {
    guard !name.isEmpty, name.utf8.count <= 255 else {
      throw MetadataError(.refused, "a user's name has 1 to 255 bytes")
    }
    let rows = try await connection.query(
      """
      insert into identity (name, email, role) values ($1, $2, $3) on conflict (name) do nothing returning id
      """, [.text(name), .optional(email), .optional(role)]
    ).rows
    guard let row = rows.first else {
      throw MetadataError(.alreadyExists, "there is a user \"\(name)\" already; see: sluice user show \(name)")
    }
    return try row.int("id")
  }

  package func identities(named name: String? = nil) async throws -> [Identity] {
    let rows = try await connection.query(
      """
      select i.id, i.name, i.email, i.role,
        array(select g.name from group_member m join user_group g on g.id = m.group_id
          where m.identity_id = i.id order by g.name) as groups,
        array(select a.key from attribute a where a.identity_id = i.id order by a.key, a.value) as keys,
        array(select a.value from attribute a where a.identity_id = i.id order by a.key, a.value) as values
      from identity i where $1::text is null or i.name = $1 order by i.name
      """, [.optional(name)]
    ).rows
    return try rows.map { row in
      var attributes: [String: [String]] = [:]
      for (key, value) in zip(try row.textArray("keys"), try row.textArray("values")) {
        attributes[key, default: []].append(value)
      }
      return Identity(
        id: try row.int("id"), name: try row.text("name"), email: try row.optionalText("email"),
        role: try row.optionalText("role"), groups: try row.textArray("groups"), attributes: attributes)
    }
  }

  package func identity(named name: String) async throws -> Identity {
    guard let identity = try await identities(named: name).first else {
      throw MetadataError(.notFound, "there is no user \"\(name)\"; see: sluice user list")
    }
    return identity
  }

  package func removeIdentity(_ id: Int64) async throws {
    _ = try await connection.query("delete from identity where id = $1", [.int8(id)])
  }

  /// Every role a user has, by connection; connections without an account are left out.
  package func roles(of identity: Int64) async throws -> [(connection: Int64, name: String, role: String)] {
    try await connection.query(
      """
      select r.connection_id, c.name, r.role from user_role r join connection c on c.id = r.connection_id
      where r.identity_id = $1 and r.role is not null order by c.name
      """, [.int8(identity)]
    ).rows.map { (try $0.int("connection_id"), try $0.text("name"), try $0.text("role")) }
  }

  package func map(_ identity: Int64, on connectionID: Int64, to mapping: RoleMapping) async throws {
    let parameters: [PostgresValue] = [.int8(identity), .int8(connectionID)]
    switch mapping {
    case .unset:
      _ = try await connection.query(
        "delete from mapping where identity_id = $1 and connection_id = $2", parameters)
    case .role, .noAccount:
      var role: String?
      if case .role(let name) = mapping { role = name }
      _ = try await connection.query(
        """
        insert into mapping (identity_id, connection_id, role) values ($1, $2, $3)
        on conflict (identity_id, connection_id) do update set role = excluded.role
        """, parameters + [.optional(role)])
    }
  }

  package func addGroup(_ name: String) async throws {
    let added = try await connection.query(
      "insert into user_group (name) values ($1) on conflict (name) do nothing", [.text(name)]
    ).affected
    if added == 0 { throw MetadataError(.alreadyExists, "there is a group \"\(name)\" already") }
  }

  package func removeGroup(_ name: String) async throws {
    let removed = try await connection.query("delete from user_group where name = $1", [.text(name)]).affected
    if removed == 0 { throw MetadataError(.notFound, "there is no group \"\(name)\"; see: sluice group list") }
  }

  /// Groups with their members' names.
  package func groups(named name: String? = nil) async throws -> [(name: String, members: [String])] {
    let groups = try await connection.query(
      """
      select g.name, array(select i.name from group_member m join identity i on i.id = m.identity_id
        where m.group_id = g.id order by i.name) as members
      from user_group g where $1::text is null or g.name = $1 order by g.name
      """, [.optional(name)]
    ).rows.map { (try $0.text("name"), try $0.textArray("members")) }
    if let name, groups.isEmpty {
      throw MetadataError(.notFound, "there is no group \"\(name)\"; see: sluice group list")
    }
    return groups
  }

  /// Adds users to a group, or takes them out; all of them must exist. Returns how many that changed.
  package func changeMembers(of group: String, users: [String], add: Bool) async throws -> Int {
    _ = try await groups(named: group)
    let known = try await connection.query("select name from identity where name = any ($1)", [.textArray(users)])
    let missing = Set(users).subtracting(try known.rows.map { try $0.text("name") }).sorted()
    guard missing.isEmpty else {
      throw MetadataError(.notFound, "there is no user \(missing.map { "\"\($0)\"" }.joined(separator: ", "))")
    }
    let insert = """
      insert into group_member (group_id, identity_id)
      select g.id, i.id from user_group g, identity i where g.name = $1 and i.name = any ($2)
      on conflict do nothing
      """
    let delete = """
      delete from group_member m using user_group g, identity i
      where g.id = m.group_id and i.id = m.identity_id and g.name = $1 and i.name = any ($2)
      """
    return try await connection.query(add ? insert : delete, [.text(group), .textArray(users)]).affected
  }

  /// Sets a key to exactly these values; none removes the key.
  package func setAttribute(_ key: String, of identity: Int64, to values: [String]) async throws {
    _ = try await connection.query(
      "delete from attribute where identity_id = $1 and key = $2", [.int8(identity), .text(key)])
    _ = try await connection.query(
      "insert into attribute (identity_id, key, value) select distinct $1::bigint, $2, v from unnest($3::text[]) v",
      [.int8(identity), .text(key), .textArray(values)])
  }

  /// The facts that conditions are evaluated over.
  package func userFacts() async throws -> [UserFacts] {
    try await identities().map {
      UserFacts(
        id: UserID(rawValue: $0.id), name: $0.name, email: $0.email, groups: $0.groups, attributes: $0.attributes)
    }
  }
}
