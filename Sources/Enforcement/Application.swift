import Governance
import Platform
import Postgres

/// Carries out a plan inside the lane's transaction, and finds out by itself which part of a failing statement is to
/// blame: the statement is halved until the culprit stands alone, the rest is done.
///
/// The lane's lock is held meanwhile, so waiting has a bound: only the first conflict costs the session's `lock_timeout`,
/// and after a few the statements are not halved any more; their jobs come again.
struct Application: Sendable {
  /// How long a statement waits for a lock once another has waited in vain.
  static let patienceAfterConflict: Duration = .milliseconds(200)
  /// Enough to find two locked tables among the hundred of a statement.
  static let maximumHalvedConflicts = 16

  let session: PostgresConnection
  let names: GrantStatements.Names

  private(set) var failures: [Grant: Failure] = [:]
  /// What was run, in order, for the audit trail.
  private(set) var statements: [String] = []
  /// What the server remarked: `WARNING 01007` says that a GRANT did nothing.
  private(set) var warnings: [String] = []
  /// Grants to roles that were dropped since they were looked for.
  private var vanished: Set<Grant> = []
  private var conflicts = 0

  init(session: PostgresConnection, names: GrantStatements.Names) {
    self.session = session
    self.names = names
  }

  mutating func carryOut(_ verb: GrantStatements.Verb, _ rectangles: [GrantRectangle]) async throws {
    for rectangle in rectangles { try await carryOut(verb, rectangle) }
  }

  private mutating func carryOut(_ verb: GrantStatements.Verb, _ rectangle: GrantRectangle) async throws {
    let (present, gone) = rectangle.split { names[$0] != nil }
    if let gone, verb == .grant {
      note(gone, Failure(.gone, "the table is gone from the target", remedy: "sync its database"))
    }
    guard let present else { return }
    do {
      let sql = try GrantStatements.render(verb, present, names)
      let notices = try await session.savepoint { try await $0.query(sql).notices }
      statements.append(sql)
      warnings += notices.filter { $0.sqlState == .privilegeNotGranted || $0.sqlState == .privilegeNotRevoked }
        .map { "\($0.message) [\($0.sqlState)]" }
    } catch let error as PostgresError {
      // Each half of a statement that takes too long may take as long: that is for the batch to find out, outside of
      // this transaction.
      guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled else { throw error }
      let mayHalve = try await error.isConflict ? noteConflict() : true
      guard mayHalve, let halves = present.halves else {
        if verb == .grant, error.sqlState == .undefinedObject { vanished.formUnion(present.grants) }
        return note(present, Failure(error))
      }
      for half in halves { try await carryOut(verb, half) }
    }
  }

  /// What failed because its role was dropped meanwhile, to be tried once more; no failure any longer.
  mutating func takeVanished() -> Set<Grant> {
    defer { vanished = [] }
    for grant in vanished { failures[grant] = nil }
    return vanished
  }

  /// Whether the statement may be halved to find out which part of it is locked.
  private mutating func noteConflict() async throws -> Bool {
    if conflicts == 0 {
      try await session.execute("SET LOCAL lock_timeout = \(Self.patienceAfterConflict.wholeMilliseconds)")
    }
    conflicts += 1
    return conflicts <= Self.maximumHalvedConflicts
  }

  private mutating func note(_ rectangle: GrantRectangle, _ failure: Failure) {
    for grant in rectangle.grants { failures[grant] = failure }
  }
}

extension Failure {
  /// What a refused GRANT, REVOKE or CREATE ROLE means (LAKEBASE.md, table (a), rows 25 to 32).
  init(_ error: PostgresError) {
    // A role that is missing now was dropped since it was made again: the next try makes it once more.
    if error.isConflict || error.sqlState == .undefinedObject {
      self.init(.conflict, error.message, remedy: "nothing: it is tried again")
      return
    }
    switch error.sqlState {
    case SQLState.Class.insufficientResources:
      self.init(
        .conflict, error.message + (error.sqlState.map { " [\($0)]" } ?? ""),
        remedy: "nothing: it is tried again; if it stays, look for what fills the target's memory, locks or disk")
    case .undefinedTable, .invalidSchemaName:
      self.init(.gone, error.message, remedy: "sync its database")
    case .insufficientPrivilege:
      self.init(
        .permanent, error.message,
        remedy: "have its owner grant Sluice's role the privilege WITH GRANT OPTION (for roles: CREATEROLE and ADMIN)")
    case .programLimitExceeded:
      self.init(
        .permanent, error.message,
        remedy: "the table has too many direct grantees: use a policy instead of subscriptions")
    default:
      self.init(.permanent, error.message + (error.sqlState.map { " [\($0)]" } ?? ""), remedy: "see the message")
    }
  }
}
