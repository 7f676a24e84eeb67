import Governance
import Metadata
import Platform
import Postgres

/// The role that makes audiences and their members, in the place of the login.
///
/// From version 16 on PostgreSQL makes whoever makes a role a member of it, and a GRANT of a role reads all memberships
/// of who grants: the login, which makes the users' roles, has thousands. This one makes audiences alone. Measured on
/// 17.10 with 1,050 roles: one member more 1.3 ms by the login and 0.1 ms by this one, one member out of 21 audiences 29
/// and 1.2 ms; with ten thousand it is the difference between 78 and 2.5 ms a member (GRANTS.md, fact 5).
///
/// Privileges on securables are still granted by the login, whose grant options they come from. Where the login may not
/// make this role, or needs none because it is a superuser or the server is older, it makes audiences itself.
package struct PolicyRole: Sendable {
  let role: RoleName
  /// What makes it usable; empty if it is.
  let statements: [String]

  package static func name(installation: String, connection: Int64) throws -> RoleName {
    try RoleName("sluice_p_\(ShortHash.base32(of: "\(installation)/\(connection)/policy role"))")
  }

  private static func mark(installation: String) -> String { "sluice \(installation) policy role" }

  /// What the target's policy role needs, or nil where there is none and can be none.
  static func find(
    installation: String, connection: Int64, in session: PostgresConnection
  ) async throws -> PolicyRole? {
    guard await session.serverVersion >= 160_000 else { return nil }
    let role = try name(installation: installation, connection: connection)
    let row = try await session.query(
      statement(PackageResources.policy_role_sql), [.text(role.value)]
    ).rows[0]
    if try row.bool("is_superuser") { return nil }
    let mark = mark(installation: installation)
    guard try row.bool("exists") else {
      return PolicyRole(
        role: role,
        statements: try GrantStatements.createRoles([role], mark: mark, attributes: "CREATEROLE")
          + [try GrantStatements.settable(role)])
    }
    guard try row.optionalText("comment") == mark else { return nil }
    return PolicyRole(
      role: role, statements: try row.bool("may_be_set") ? [] : [try GrantStatements.settable(role)])
  }
}
