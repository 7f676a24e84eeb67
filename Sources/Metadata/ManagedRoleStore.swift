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

  /// Remembers which data sources were granted to users' roles directly, and forgets those that were revoked.
  package func noteGrants(
    given: [(role: String, securable: Int64)], taken: [(role: String, securable: Int64)], of connectionID: Int64
  ) async throws {
    if !given.isEmpty {
      _ = try await connection.query(
        """
        insert into managed_grant (connection_id, role, securable_id)
        select distinct $1::bigint, r.role, r.securable_id from unnest($2::text[], $3::bigint[]) as r (role, securable_id)
        order by 2, 3 on conflict do nothing
        """, [.int8(connectionID), .textArray(given.map(\.role)), .int8Array(given.map(\.securable))])
    }
    if !taken.isEmpty {
      _ = try await connection.query(
        """
        delete from managed_grant g using unnest($2::text[], $3::bigint[]) as r (role, securable_id)
        where g.connection_id = $1 and g.role = r.role and g.securable_id = r.securable_id
        """, [.int8(connectionID), .textArray(taken.map(\.role)), .int8Array(taken.map(\.securable))])
    }
  }

  /// The direct grants of these roles, or of all when `roles` is nil.
  package func managedGrants(
    of connectionID: Int64, roles: [String]?
  ) async throws -> [(role: String, securable: Int64)] {
    try await connection.query(
      """
      select role, securable_id from managed_grant
      where connection_id = $1 and ($2::text[] is null or role = any ($2))
      """, [.int8(connectionID), roles.map { .textArray($0) } ?? .null]
    ).rows.map { (try $0.text("role"), try $0.int("securable_id")) }
  }

  package func noteDropped(_ roles: [String], of connectionID: Int64) async throws {
    _ = try await connection.query(
      "update managed_role set dropped_at = now() where connection_id = $1 and role = any ($2)",
      [.int8(connectionID), .textArray(roles)])
  }
}
