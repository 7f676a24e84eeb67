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
    /// Those of the missing roles that the policy role administers now.
    fileprivate(set) var administered: Set<RoleName> = []

    mutating func add(_ other: Outcome) {
      made.formUnion(other.made)
      failures.merge(other.failures) { $1 }
      notes += other.notes
      statements += other.statements
      administered.formUnion(other.administered)
    }
  }

  /// Makes those of the roles that do not exist; users' roles so that the person can log in, where the target can.
  /// A user's role may be somebody else's, an audience's not.
  func makeMissing(_ roles: [RoleName: ManagedRole.Kind]) async throws -> Outcome {
    try await make(roles, try await marks(of: roles.keys))
  }

  /// As `makeMissing`, of roles whose marks have just been read.
  func make(_ roles: [RoleName: ManagedRole.Kind], _ marks: RoleMarks) async throws -> Outcome {
    var outcome = Outcome()
    outcome.refuse(roles, marks)
    let missing = roles.filter { marks[$0.key] == .absent }
    guard !missing.isEmpty else { return outcome }
    var way = try await way(of: missing)
    try await prepare(&way, &outcome)
    let sorted = missing.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    for start in stride(from: 0, to: sorted.count, by: Self.together) {
      try await make(Array(sorted[start..<min(start + Self.together, sorted.count)]), way, &outcome)
    }
    try await note(missing, &outcome)
    return outcome
  }

  /// The statements that `makeMissing` would run, and which roles the policy role would administer then.
  func planned(
    _ roles: [RoleName: ManagedRole.Kind]
  ) async throws -> (statements: [String], administered: Set<RoleName>) {
    let marks = try await marks(of: roles.keys)
    let missing = roles.filter { marks[$0.key] == .absent }
    guard !missing.isEmpty else { return ([], []) }
    let way = try await way(of: missing)
    let statements =
      try (way.policyRole?.statements ?? [])
      + missing.sorted { $0.key < $1.key }.flatMap { try way.statements(making: $0.key, $0.value) }
    let audiences = missing.filter { $0.value == .audience }.keys
    return (statements, way.policyRole == nil ? [] : Set(audiences))
  }

  /// Roles that are made in one round trip.
  private static let together = 100

  /// How roles are made in this target.
  private struct Way {
    let installation: String
    var canCreateForLogin = false
    var policyRole: PolicyRole?

    func statements(making role: RoleName, _ kind: ManagedRole.Kind, forLogin: Bool = true) throws -> [String] {
      if kind == .user, canCreateForLogin, forLogin { return [try GrantStatements.createLogin(role)] }
      let mark = RoleMark.text(kind, installation: installation)
      return try GrantStatements.acting(
        as: kind == .audience ? policyRole?.role : nil, try GrantStatements.createRole(role, mark: mark))
    }
  }

  private func way(of missing: [RoleName: ManagedRole.Kind]) async throws -> Way {
    let installation = try await metadata.read { try await $0.installation() }
    var way = Way(installation: installation)
    if missing.values.contains(.user) { way.canCreateForLogin = try await hasLoginFunction() }
    if missing.values.contains(.audience) {
      way.policyRole = try await PolicyRole.find(installation: installation, connection: connection.id, in: session)
    }
    return way
  }

  /// Makes the policy role if it is not there yet. Where that is not allowed, the login does without.
  private func prepare(_ way: inout Way, _ outcome: inout Outcome) async throws {
    guard let manager = way.policyRole, !manager.statements.isEmpty else { return }
    do {
      try await send(manager.statements)
      outcome.statements += manager.statements
    } catch let error as PostgresError where error.isAlreadyThere {
      try await hearOfOthersRoles()
    } catch let error as PostgresError where error.sqlState == .insufficientPrivilege {
      way.policyRole = nil
    }
  }

  /// Remembers which roles were made, before the target commits them: a mark alone is a comment, which anybody who
  /// may make roles could write. Somebody else may have made an audience's role at the same moment.
  private func note(_ missing: [RoleName: ManagedRole.Kind], _ outcome: inout Outcome) async throws {
    let marks = try await marks(of: missing.keys)
    outcome.refuse(missing, marks)
    outcome.administered = marks.administered
    let made = missing.filter { outcome.made.contains($0.key.value) }.map { role, kind in
      ManagedRole(role: role.value, kind: kind, made: true, oid: marks[role].oid)
    }
    guard !made.isEmpty else { return }
    try await metadata.transaction { try await $0.note(made, of: connection.id) }
  }

  /// Many at once; one by one if one of them cannot be made.
  private func make(_ roles: [(RoleName, ManagedRole.Kind)], _ way: Way, _ outcome: inout Outcome) async throws {
    do {
      let statements = try roles.flatMap { try way.statements(making: $0.0, $0.1) }
      try await send(statements)
      outcome.made.formUnion(roles.map(\.0.value))
      outcome.statements += statements
    } catch let error as PostgresError {
      try await require(mayGoOn: error)
      for (role, kind) in roles {
        do { try await make(role, kind, way, &outcome) } catch let error as PostgresError {
          try await require(mayGoOn: error)
          outcome.failures[role] = Failure(error)
        }
      }
    }
  }

  private func make(_ role: RoleName, _ kind: ManagedRole.Kind, _ way: Way, _ outcome: inout Outcome) async throws {
    do {
      try await make(role, try way.statements(making: role, kind), &outcome)
    } catch let error as PostgresError
      where error.sqlState == .invalidParameterValue && kind == .user && way.canCreateForLogin
    {
      outcome.notes.append("role \"\(role)\" cannot log in with OAuth: the workspace knows no such identity")
      try await make(role, try way.statements(making: role, kind, forLogin: false), &outcome)
    }
  }

  private func make(_ role: RoleName, _ statements: [String], _ outcome: inout Outcome) async throws {
    do {
      try await send(statements)
      outcome.made.insert(role.value)
      outcome.statements += statements
    } catch let error as PostgresError where error.isAlreadyThere {
      // Another lane of this connection, or somebody else, has just made it.
      try await hearOfOthersRoles()
    }
  }

  private func send(_ statements: [String]) async throws {
    try await session.savepoint { _ = try await $0.pipeline(statements.map { PostgresStatement($0) }) }
  }

  private func require(mayGoOn error: PostgresError) async throws {
    guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled else { throw error }
    // One by one they need as much.
    if SQLState.Class.insufficientResources ~= error.sqlState { throw error }
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
  fileprivate mutating func refuse(_ roles: [RoleName: ManagedRole.Kind], _ marks: RoleMarks) {
    for (role, kind) in roles where kind == .audience {
      if case .foreign = marks[role] { failures[role] = .foreign(role) }
    }
  }
}

extension PostgresError {
  /// 42710 one after the other, 23505 at the same time (GRANTS.md d-1).
  fileprivate var isAlreadyThere: Bool { sqlState == .duplicateObject || sqlState == .uniqueViolation }
}
