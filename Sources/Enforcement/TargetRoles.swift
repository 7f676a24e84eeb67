import Governance
import Metadata
import Postgres

/// Making the roles that grants need. Whichever lane needs a role first makes it.
struct TargetRoles: Sendable {
  let session: PostgresConnection

  /// What became of the roles that were asked for.
  struct Outcome: Sendable {
    var made: Set<String> = []
    var failures: [RoleName: Failure] = [:]
    var notes: [String] = []
    var statements: [String] = []
  }

  /// Makes those of the roles that do not exist; users' roles so that the person can log in, where the target can.
  func makeMissing(_ roles: [RoleName: ManagedRole.Kind]) async throws -> Outcome {
    var outcome = Outcome()
    let existing = try await existing(roles.keys.map(\.value))
    let missing = roles.filter { !existing.contains($0.key.value) }.sorted { $0.key < $1.key }
    guard !missing.isEmpty else { return outcome }
    let canCreateForLogin = try await hasLoginFunction()
    for (role, kind) in missing {
      do {
        try await make(role, kind, canCreateForLogin, &outcome)
      } catch let error as PostgresError {
        guard await session.isInTransaction, error.code == .server else { throw error }
        outcome.failures[role] = Failure(error)
      }
    }
    return outcome
  }

  private func make(
    _ role: RoleName, _ kind: ManagedRole.Kind, _ canCreateForLogin: Bool, _ outcome: inout Outcome
  ) async throws {
    if kind == .user, canCreateForLogin {
      do {
        try await makeForLogin(role)
        outcome.made.insert(role.value)
        outcome.statements.append("SELECT databricks_create_role(\(try PostgresLiteral(role.value).quoted), …)")
        return
      } catch let error as PostgresError where error.sqlState == .invalidParameterValue {
        outcome.notes.append(
          "role \"\(role)\" cannot log in with OAuth: the workspace knows no such identity")
      } catch let error as PostgresError where error.isAlreadyThere { return try await hearOfOthersRoles() }
    }
    do {
      let create = try GrantStatements.createRole(role)
      let mark = try GrantStatements.markRole(role, "made by Sluice")
      try await session.savepoint {
        _ = try await $0.query(create)
        _ = try await $0.query(mark)
      }
      outcome.made.insert(role.value)
      outcome.statements.append(create)
    } catch let error as PostgresError where error.isAlreadyThere {
      // Another lane of this connection, or somebody else, has just made it.
      try await hearOfOthersRoles()
    }
  }

  /// Has the server's session forget that the name of a role was free.
  ///
  /// A CREATE ROLE that waits for another session's fails (23505) with that still in its cache, and the next GRANT says
  /// that the role does not exist. The cache hears of others' commits when a relation is locked anew: one that nothing
  /// else here reads, in a savepoint that gives the lock back. Source: PostgreSQL 17, `LockRelationOid` in lmgr.c.
  private func hearOfOthersRoles() async throws {
    try await session.execute(
      """
      SAVEPOINT hear;
      SELECT FROM pg_catalog.pg_shseclabel LIMIT 0;
      ROLLBACK TO SAVEPOINT hear;
      RELEASE SAVEPOINT hear
      """)
  }

  /// `databricks_create_role` binds the role to the workspace's identity, which is what makes OAuth logins possible.
  private func makeForLogin(_ role: RoleName) async throws {
    _ = try await session.savepoint {
      try await $0.query(
        "select public.databricks_create_role($1, $2)",
        [.text(role.value), .text(role.looksLikeServicePrincipal ? "SERVICE_PRINCIPAL" : "USER")])
    }
  }

  private func hasLoginFunction() async throws -> Bool {
    try await session.query(
      """
      select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'public' and p.proname = 'databricks_create_role' and has_function_privilege(p.oid, 'EXECUTE')
      """
    ).rows.isEmpty == false
  }

  func existing(_ roles: [String]) async throws -> Set<String> {
    let rows = try await session.query("select rolname from pg_roles where rolname = any ($1)", [.textArray(roles)])
    return Set(try rows.rows.map { try $0.text("rolname") })
  }
}

extension PostgresError {
  /// 42710 one after the other, 23505 at the same time (GRANTS.md d-1).
  fileprivate var isAlreadyThere: Bool { sqlState == .duplicateObject || sqlState == .uniqueViolation }
}

extension RoleName {
  /// Service principals are known by their application id, a UUID.
  fileprivate var looksLikeServicePrincipal: Bool {
    let groups = value.split(separator: "-", omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12]
      && value.utf8.allSatisfy { byte in
        byte == 0x2d || (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte) || (0x41...0x46).contains(byte)
      }
  }
}
