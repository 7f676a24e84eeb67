import Governance
import Platform
import Postgres

/// Carries out a plan inside the lane's transaction: all statements on one way there and back, and if one fails, all but
/// that one; it is halved until the culprit stands alone, the rest is done.
///
/// The lane's lock is held meanwhile, so waiting has a bound: only the first conflict costs the session's `lock_timeout`,
/// and after a few the statements are not halved any more; they come again in another transaction.
struct Application: Sendable {
  /// How long a statement waits for a lock once another has waited in vain.
  static let patienceAfterConflict: Duration = .milliseconds(200)
  /// Enough to find two locked tables among the hundred of a statement.
  static let maximumHalvedConflicts = 16
  /// How often a statement is repeated that came upon a row which another session has just changed: that one is done.
  static let maximumRepetitions = 3

  /// A statement that the server carried out.
  struct Done: Sendable {
    let verb: GrantStatements.Verb
    let rectangle: GrantRectangle
    /// What the server remarked: `WARNING 01007` says that a GRANT did nothing.
    let warnings: [String]
  }

  private struct Work: Sendable {
    let verb: GrantStatements.Verb
    let rectangle: GrantRectangle
    let sql: String
  }

  let session: PostgresConnection
  private(set) var names: GrantStatements.Names

  private(set) var failures: [Grant: Failure] = [:]
  private(set) var done: [Done] = []
  /// What was run, in order, for the audit trail.
  private(set) var statements: [String] = []
  /// Grants to roles that were dropped since they were looked for.
  private var vanished: Set<Grant> = []
  private var conflicts = 0

  init(session: PostgresConnection, names: GrantStatements.Names) {
    self.session = session
    self.names = names
  }

  mutating func learn(_ more: GrantStatements.Names) { names.merge(more) }

  mutating func carryOut(_ verb: GrantStatements.Verb, _ rectangles: [GrantRectangle]) async throws {
    var work: [Work] = []
    for rectangle in rectangles {
      let (present, gone) = rectangle.split { names[$0] != nil }
      if let gone, verb == .grant {
        note(gone, Failure(.gone, "the table is gone from the target", remedy: "sync its database"))
      }
      if let present { work.append(try render(verb, present)) }
    }
    try await carryOut(work[...])
  }

  private func render(_ verb: GrantStatements.Verb, _ rectangle: GrantRectangle) throws -> Work {
    Work(verb: verb, rectangle: rectangle, sql: try GrantStatements.render(verb, rectangle, names))
  }

  private mutating func carryOut(_ work: ArraySlice<Work>) async throws {
    var rest = work
    while !rest.isEmpty {
      do {
        return try await run(rest)
      } catch let error as PostgresError {
        let culprit = rest.startIndex + (try await index(ofCulprit: error, among: rest.count))
        // What came before it was undone with it.
        try await carryOut(rest[..<culprit])
        try await carryOut(rest[culprit], after: error)
        rest = rest[(culprit + 1)...]
      }
    }
  }

  private mutating func run(_ work: ArraySlice<Work>) async throws {
    let results = try await session.savepoint(work.map { PostgresStatement($0.sql) })
    for (work, result) in zip(work, results) {
      let warnings = result.notices.filter {
        $0.sqlState == .privilegeNotGranted || $0.sqlState == .privilegeNotRevoked
      }
      done.append(
        Done(verb: work.verb, rectangle: work.rectangle, warnings: warnings.map { "\($0.message) [\($0.sqlState)]" }))
      statements.append(work.sql)
    }
  }

  /// Which statement is to blame.
  ///
  /// - Throws: The error, if that is for the run to find out outside of this transaction: each half of a statement that
  ///   takes too long may take as long, and a full lock table is the whole transaction's.
  private func index(ofCulprit error: PostgresError, among count: Int) async throws -> Int {
    guard let index = error.statementIndex, 0..<count ~= index, await session.isInTransaction, error.code == .server,
      error.sqlState != .queryCanceled, !(SQLState.Class.insufficientResources ~= error.sqlState)
    else { throw error }
    return index
  }

  private mutating func carryOut(_ work: Work, after error: PostgresError, repetitions: Int = 0) async throws {
    if error.isConflict, error.sqlState == .internalError, repetitions < Self.maximumRepetitions {
      return try await again(work, repetitions + 1)
    }
    let mayHalve = try await error.isConflict ? noteConflict() : true
    guard mayHalve, let halves = work.rectangle.halves else {
      if work.verb == .grant, error.sqlState == .undefinedObject { vanished.formUnion(work.rectangle.grants) }
      return note(work.rectangle, Failure(error))
    }
    for half in halves { try await again(try render(work.verb, half), 0) }
  }

  private mutating func again(_ work: Work, _ repetitions: Int) async throws {
    do { try await run([work]) } catch let error as PostgresError {
      _ = try await index(ofCulprit: error, among: 1)
      try await carryOut(work, after: error, repetitions: repetitions)
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
    if conflicts == 0 { try await Self.loosePatience(in: session) }
    conflicts += 1
    return conflicts <= Self.maximumHalvedConflicts
  }

  /// From here on the transaction waits for locks no longer than for somebody who is just about to commit.
  static func loosePatience(in session: PostgresConnection) async throws {
    try await session.execute("SET LOCAL lock_timeout = \(patienceAfterConflict.wholeMilliseconds)")
  }

  private mutating func note(_ rectangle: GrantRectangle, _ failure: Failure) {
    for grant in rectangle.grants { failures[grant] = failure }
  }
}
