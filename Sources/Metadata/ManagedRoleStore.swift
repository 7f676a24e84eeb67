import Postgres

/// A role in a target that Sluice has granted to.
package struct ManagedRole: Sendable, Hashable {
  package enum Kind: String, Sendable { case user, audience }
  package let role: String
  package let kind: Kind
  /// Whether Sluice made it; only then may it ever be dropped.
  package let made: Bool

  package init(role: String, kind: Kind, made: Bool) {
    self.role = role
    self.kind = kind
    self.made = made
  }
}

extension MetadataSession {
  package func managedRoles(of connectionID: Int64) async throws -> [ManagedRole] {
    try await connection.query(
      "select role, kind, made from managed_role where connection_id = $1 and dropped_at is null order by role",
      [.int8(connectionID)]
    ).rows.map { row in
      ManagedRole(
        role: try row.text("role"), kind: try row.text("kind") == "user" ? .user : .audience,
        made: try row.bool("made"))
    }
  }

  /// Notes roles before they are granted to; a role once made by Sluice stays made by Sluice.
  package func note(_ roles: [ManagedRole], of connectionID: Int64) async throws {
    guard !roles.isEmpty else { return }
    let sorted = Set(roles).sorted { $0.role < $1.role }
    _ = try await connection.query(
      """
      insert into managed_role (connection_id, role, kind, made)
      select $1, r.role, r.kind, bool_or(r.made)
      from unnest($2::text[], $3::text[], $4::boolean[]) as r (role, kind, made)
      group by r.role, r.kind order by r.role
      on conflict (connection_id, role) do update set dropped_at = null,
        made = excluded.made or managed_role.made and managed_role.dropped_at is null
      """,
      [
        .int8(connectionID), .textArray(sorted.map(\.role)), .textArray(sorted.map(\.kind.rawValue)),
        .boolArray(sorted.map(\.made)),
      ])
  }

  package func noteDropped(_ roles: [String], of connectionID: Int64) async throws {
    _ = try await connection.query(
      "update managed_role set dropped_at = now() where connection_id = $1 and role = any ($2)",
      [.int8(connectionID), .textArray(roles)])
  }
}
