import Governance
import Postgres

/// A role in a target that Sluice has granted to.
package struct ManagedRole: Sendable, Hashable {
  package enum Kind: String, Sendable { case user, audience }
  package let role: String
  package let kind: Kind
  /// Whether Sluice made it; only then may it ever be dropped.
  package let made: Bool
  /// Its OID when Sluice made it: a role of that name with another one is somebody else's.
  package let oid: UInt32?

  package init(role: String, kind: Kind, made: Bool, oid: UInt32? = nil) {
    self.role = role
    self.kind = kind
    self.made = made
    self.oid = oid
  }
}

/// A privilege that Sluice granted to a user's role directly: on a data source (USAGE is of the sequences that its
/// columns own), on its schema, or on its database.
package struct ManagedGrant: Sendable, Hashable {
  package let role: String
  package let securable: Int64
  package let privilege: Privilege

  package init(role: String, securable: Int64, privilege: Privilege) {
    self.role = role
    self.securable = securable
    self.privilege = privilege
  }
}

/// What was remembered of direct grants, and when that was read.
package struct ManagedGrants: Sendable {
  package let asOf: Timestamp
  package var grants: [ManagedGrant] = []
}

extension MetadataSession {
  package func managedRoles(of connectionID: Int64) async throws -> [ManagedRole] {
    try await connection.query(
      "select role, kind, made, oid from managed_role where connection_id = $1 and dropped_at is null order by role",
      [.int8(connectionID)]
    ).rows.map(Self.decodeRole)
  }

  /// Those of these roles that Sluice made, by name.
  package func madeRoles(of connectionID: Int64, among roles: [String]) async throws -> [String: ManagedRole] {
    let made = try await connection.query(
      """
      select role, kind, made, oid from managed_role
      where connection_id = $1 and role = any ($2) and made and dropped_at is null
      """, [.int8(connectionID), .textArray(roles)]
    ).rows.map(Self.decodeRole)
    return Dictionary(uniqueKeysWithValues: made.map { ($0.role, $0) })
  }

  /// Those of these audiences, or of all, that Sluice made, with the OIDs that they had then.
  package func madeAudiences(
    of connectionID: Int64, among roles: [String]?
  ) async throws -> [(role: String, oid: UInt32)] {
    if let roles, roles.isEmpty { return [] }
    return try await connection.query(
      """
      select role, oid from managed_role
      where connection_id = $1 and ($2::text[] is null or role = any ($2))
        and kind = 'audience' and made and oid is not null and dropped_at is null
      """, [.int8(connectionID), roles.map { .textArray($0) } ?? .null]
    ).rows.map { (try $0.text("role"), UInt32(truncatingIfNeeded: try $0.int("oid"))) }
  }

  private static func decodeRole(_ row: PostgresRow) throws -> ManagedRole {
    ManagedRole(
      role: try row.text("role"), kind: try row.text("kind") == "user" ? .user : .audience, made: try row.bool("made"),
      oid: try row.optionalInt("oid").map { UInt32(truncatingIfNeeded: $0) })
  }

  /// What tells this installation's roles from those of others in the same target.
  package func installation() async throws -> String {
    try await connection.query("select id::text as id from installation").rows[0].text("id")
  }

  /// Notes roles before they are granted to; a role once made by Sluice stays made by Sluice.
  package func note(_ roles: [ManagedRole], of connectionID: Int64) async throws {
    guard !roles.isEmpty else { return }
    let sorted = Set(roles).sorted { $0.role < $1.role }
    _ = try await connection.query(
      """
      insert into managed_role (connection_id, role, kind, made, oid)
      select $1, r.role, r.kind, bool_or(r.made), nullif(max(r.oid), 0)
      from unnest($2::text[], $3::text[], $4::boolean[], $5::bigint[]) as r (role, kind, made, oid)
      group by r.role, r.kind order by r.role
      on conflict (connection_id, role) do update set dropped_at = null, noted_at = excluded.noted_at,
        made = excluded.made or managed_role.made and managed_role.dropped_at is null,
        oid = coalesce(excluded.oid, case when managed_role.dropped_at is null then managed_role.oid end)
      """,
      [
        .int8(connectionID), .textArray(sorted.map(\.role)), .textArray(sorted.map(\.kind.rawValue)),
        .boolArray(sorted.map(\.made)), .int8Array(sorted.map { Int64($0.oid ?? 0) }),
      ])
  }

  /// Remembers what is about to be granted to users' roles: before the target commits it, so that no grant is unknown.
  package func noteGiven(_ grants: [ManagedGrant], of connectionID: Int64) async throws {
    guard !grants.isEmpty else { return }
    _ = try await connection.query(
      """
      insert into managed_grant (connection_id, role, securable_id, privilege)
      select distinct $1::bigint, r.role, r.securable_id, r.privilege
      from unnest($2::text[], $3::bigint[], $4::text[]) as r (role, securable_id, privilege)
      order by 2, 3, 4
      on conflict (connection_id, role, securable_id, privilege) do update set noted_at = excluded.noted_at
      """, [.int8(connectionID)] + Self.columns(grants))
  }

  /// Forgets what is no longer there: after the target has committed, so that a lost commit loses no revoke.
  ///
  /// - Parameter asOf: `ManagedGrants.asOf` of the run; what another run has granted again since then is kept.
  package func forgetTaken(_ grants: [ManagedGrant], of connectionID: Int64, asOf: Timestamp) async throws {
    guard !grants.isEmpty else { return }
    _ = try await connection.query(
      """
      delete from managed_grant g
      using unnest($2::text[], $3::bigint[], $4::text[]) as r (role, securable_id, privilege)
      where g.connection_id = $1 and g.role = r.role and g.securable_id = r.securable_id
        and g.privilege = r.privilege and g.noted_at <= timestamptz 'epoch' + $5::bigint * interval '1 microsecond'
      """, [.int8(connectionID)] + Self.columns(grants) + [.int8(asOf.microseconds)])
  }

  private static func columns(_ grants: [ManagedGrant]) -> [PostgresValue] {
    [
      .textArray(grants.map(\.role)), .int8Array(grants.map(\.securable)),
      .textArray(grants.map(\.privilege.rawValue)),
    ]
  }

  /// The direct grants of these roles, or of all when `roles` is nil, on these securables, or on all when those are nil.
  package func managedGrants(
    of connectionID: Int64, roles: [String]?, on securables: [Int64]? = nil
  ) async throws -> ManagedGrants {
    // The instant before the rows: what is noted in between is then too new to be forgotten.
    var managed = ManagedGrants(asOf: try await now())
    let rows = try await connection.query(
      """
      select role, securable_id, privilege from managed_grant
      where connection_id = $1 and ($2::text[] is null or role = any ($2))
        and ($3::bigint[] is null or securable_id = any ($3))
      """,
      [
        .int8(connectionID), roles.map { .textArray($0) } ?? .null,
        securables.map { .int8Array($0) } ?? .null,
      ]
    ).rows
    for row in rows {
      guard let privilege = Privilege(rawValue: try row.text("privilege")) else {
        throw MetadataError(.corrupt, "a managed grant names a privilege that this version does not know")
      }
      managed.grants.append(
        ManagedGrant(role: try row.text("role"), securable: try row.int("securable_id"), privilege: privilege))
    }
    return managed
  }

  /// Notes that roles were dropped, once the target has committed that; not those that were made again after `asOf`.
  package func noteDropped(_ roles: [String], of connectionID: Int64, asOf: Timestamp) async throws {
    _ = try await connection.query(
      """
      update managed_role set dropped_at = now()
      where connection_id = $1 and role = any ($2)
        and noted_at <= timestamptz 'epoch' + $3::bigint * interval '1 microsecond'
      """, [.int8(connectionID), .textArray(roles), .int8(asOf.microseconds)])
  }
}
