import Governance
import Platform
import Postgres

/// Carries out membership changes inside the lane's transaction: all of them in one round trip, and where that fails one
/// by one, in halves, until the member to blame stands alone and the rest is done.
struct MembershipApplication: Sendable {
  let session: PostgresConnection
  let serverVersion: Int
  let marks: RoleMarks

  /// By audience and member.
  private(set) var failures: [RoleName: [RoleName: Failure]] = [:]
  /// What was run, in order.
  private(set) var statements: [String] = []

  init(session: PostgresConnection, serverVersion: Int, marks: RoleMarks) {
    self.session = session
    self.serverVersion = serverVersion
    self.marks = marks
  }

  mutating func carryOut(_ verb: GrantStatements.Verb, _ changes: [MembershipChange]) async throws {
    guard !changes.isEmpty else { return }
    do {
      let texts = try render(verb, changes)
      try await send(texts)
      statements += texts
    } catch let error as PostgresError {
      try await require(mayGoOn: error)
      if error.isConflict { try await loseNoMoreTime() }
      for change in changes { try await alone(verb, change) }
    }
  }

  /// Those of the login first, those of the policy role after.
  func render(_ verb: GrantStatements.Verb, _ changes: [MembershipChange]) throws -> [String] {
    func texts(_ changes: [MembershipChange]) throws -> [String] {
      try changes.map { change in
        verb == .grant
          ? try GrantStatements.render(adding: change, serverVersion: serverVersion)
          : try GrantStatements.render(removing: change)
      }
    }
    func isPolicyRoles(_ change: MembershipChange) -> Bool {
      change.grantor == nil && marks.administered.contains(change.role)
    }
    let managed = try texts(changes.filter(isPolicyRoles))
    return try texts(changes.filter { !isPolicyRoles($0) })
      + GrantStatements.acting(as: managed.isEmpty ? nil : marks.policyRole, managed)
  }

  private func send(_ texts: [String]) async throws {
    try await session.savepoint { _ = try await $0.pipeline(texts.map { PostgresStatement($0) }) }
  }

  /// A conflict is about the audience's own row: no half would fare better.
  private mutating func alone(_ verb: GrantStatements.Verb, _ change: MembershipChange) async throws {
    do {
      let texts = try render(verb, [change])
      try await send(texts)
      statements += texts
    } catch let error as PostgresError {
      try await require(mayGoOn: error)
      guard change.members.count > 1, !error.isConflict else {
        for member in change.members { failures[change.role, default: [:]][member] = Failure(error) }
        return
      }
      let middle = change.members.count / 2
      for half in [change.members[..<middle], change.members[middle...]] {
        try await alone(verb, MembershipChange(role: change.role, members: Array(half), grantor: change.grantor))
      }
    }
  }

  private func require(mayGoOn error: PostgresError) async throws {
    guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled,
      !(SQLState.Class.insufficientResources ~= error.sqlState)
    else { throw error }
  }

  /// Only the first conflict costs the session's `lock_timeout`: the lane's lock is held meanwhile.
  private func loseNoMoreTime() async throws {
    try await session.execute("SET LOCAL lock_timeout = \(Application.patienceAfterConflict.wholeMilliseconds)")
  }
}
