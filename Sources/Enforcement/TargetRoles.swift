import Governance
import Metadata
import Postgres

/// Making the roles that grants need. Whichever lane needs a role first makes it.
struct TargetRoles: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let session: PostgresConnection

  /// What became of the roles that were asked for.
  struct Outcome: Sendable {
    var made: Set<String> = []
    var failures: [RoleName: Failure] = [:]
    var notes: [String] = []
    var statements: [String] = []
  }

  /// Makes those of the roles that do not exist; users' roles so that the person can log in, where the target can.
  /// A user's role may be somebody else's, an audience's not.
  func makeMissing(_ roles: [RoleName: ManagedRole.Kind]) async throws -> Outcome {
    var outcome = Outcome()
    let marks = try await marks(of: roles.keys)
    outcome.refuse(roles, marks)
    let missing = roles.filter { marks[$0.key] == .absent }.sorted { $0.key < $1.key }
    guard !missing.isEmpty else { return outcome }
    let installation = try await metadata.read { try await $0.installation() }
    let canCreateForLogin = try await hasLoginFunction()
    for (role, kind) in missing {
      do {
        try await make(role, kind, canCreateForLogin, installation, &outcome)
      } catch let error as PostgresError {
        guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled else {
          throw error
        }
        outcome.failures[role] = Failure(error)
      }
    }
    try await note(Dictionary(uniqueKeysWithValues: missing), &outcome)
    return outcome
  }

  /// The statements that `makeMissing` would begin with.
  func planned(_ roles: [RoleName: ManagedRole.Kind]) async throws -> [String] {
    let marks = try await marks(of: roles.keys)
    let missing = roles.filter { marks[$0.key] == .absent }.sorted { $0.key < $1.key }
    guard !missing.isEmpty else { return [] }
    let installation = try await metadata.read { try await $0.installation() }
    let canCreateForLogin = try await hasLoginFunction()
    return try missing.flatMap { role, kind in
      kind == .user && canCreateForLogin
        ? [try GrantStatements.createLogin(role)]
        : try GrantStatements.createRole(role, mark: RoleMark.text(kind, installation: installation))
    }
  }

  /// Remembers which roles were made, before the target commits them: a mark alone is a comment, which anybody who
  /// may make roles could write. Somebody else may have made an audience's role at the same moment.
  private func note(_ missing: [RoleName: ManagedRole.Kind], _ outcome: inout Outcome) async throws {
    let marks = try await marks(of: missing.keys)
    outcome.refuse(missing, marks)
    let made = missing.filter { outcome.made.contains($0.key.value) }.map { role, kind in
      ManagedRole(role: role.value, kind: kind, made: true, oid: marks[role]?.oid)
    }
    guard !made.isEmpty else { return }
    try await metadata.transaction { try await $0.note(made, of: connection.id) }
  }

  private func make(
    _ role: RoleName, _ kind: ManagedRole.Kind, _ canCreateForLogin: Bool, _ installation: String,
    _ outcome: inout Outcome
  ) async throws {
    if kind == .user, canCreateForLogin {
      do {
        return try await make(role, [try GrantStatements.createLogin(role)], &outcome)
      } catch let error as PostgresError where error.sqlState == .invalidParameterValue {
        outcome.notes.append(
          "role \"\(role)\" cannot log in with OAuth: the workspace knows no such identity")
      }
    }
    let mark = RoleMark.text(kind, installation: installation)
    try await make(role, try GrantStatements.createRole(role, mark: mark), &outcome)
  }

  private func make(_ role: RoleName, _ statements: [String], _ outcome: inout Outcome) async throws {
    do {
      try await session.savepoint { session in
        for sql in statements { _ = try await session.query(sql) }
      }
      outcome.made.insert(role.value)
      outcome.statements += statements
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

  private func hasLoginFunction() async throws -> Bool {
    try await session.query(
      """
      select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
      where n.nspname = 'public' and p.proname = 'databricks_create_role' and has_function_privilege(p.oid, 'EXECUTE')
      """
    ).rows.isEmpty == false
  }
}

extension TargetRoles.Outcome {
  /// Audiences whose names are somebody else's.
  fileprivate mutating func refuse(_ roles: [RoleName: ManagedRole.Kind], _ marks: [RoleName: RoleMark]) {
    for (role, kind) in roles where kind == .audience {
      if case .foreign = marks[role] { failures[role] = .foreign(role) }
    }
  }
}

extension PostgresError {
  /// 42710 one after the other, 23505 at the same time (GRANTS.md d-1).
  fileprivate var isAlreadyThere: Bool { sqlState == .duplicateObject || sqlState == .uniqueViolation }
}
