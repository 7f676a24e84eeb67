import Postgres

/// Why work in a target did not go on, as far as the whole batch is concerned; a single job's trouble is a `Failure`.
package struct TargetError: Error, Sendable, CustomStringConvertible {
  package enum Disposition: Sendable, Equatable {
    /// The instance is not running. The connection parks; nothing is counted.
    case stopped
    /// Soon, and not before the delay that the other side named. Nothing is counted.
    case soon(after: Duration?)
    /// Somebody must change a credential, a setting or a network rule. The connection parks for long.
    case unhealthy
    /// The database of this lane is not there by its name: only a sync can tell what became of it.
    case databaseGone
    /// Another session has the lane's lock, such as that of a worker which was cut off.
    case locked
    /// The instance answers, and this one database does not let us in: its jobs are discarded, and no other lane waits.
    case databaseClosed
    case cancelled
  }

  package let disposition: Disposition
  package let message: String
  package let remedy: String

  package init(_ disposition: Disposition, _ message: String, remedy: String) {
    self.disposition = disposition
    self.message = message
    self.remedy = remedy
  }

  package var description: String { "\(message); \(remedy)" }
}

/// What went wrong for some of a batch's work, and whether trying again can help.
package struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Kind: Sendable, Hashable {
    /// A conflict or a lock: counted, and tried again.
    case conflict
    /// The securable or role is gone from the target: a sync is due.
    case gone
    /// Missing grant option, missing privilege, a limit of PostgreSQL: somebody has to act.
    case permanent
  }

  package let kind: Kind
  package let message: String
  package let remedy: String

  package init(_ kind: Kind, _ message: String, remedy: String) {
    self.kind = kind
    self.message = message
    self.remedy = remedy
  }

  package var description: String { "\(message); \(remedy)" }

  /// The role of a user or of a member has a name that PostgreSQL cannot take.
  static func invalidRole(_ reason: String) -> Failure {
    Failure(.permanent, reason, remedy: "map the user to a role that PostgreSQL can have: sluice user map")
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

  /// Why a relation could not be done against somebody else's changes.
  init(lost error: any Error) {
    switch error {
    case let error as PostgresError where error.isTooSlow:
      self.init(.conflict, error.message, remedy: "see what the target waits for; it is tried again")
    case let error as PostgresError: self.init(error)
    case is Unverified:
      self.init(
        .permanent, "\(error)",
        remedy: "see what undoes grants as they are made (an event trigger?), then retry the job")
    default: self.init(.conflict, "\(error)", remedy: "nothing: it is tried again")
    }
  }
}

extension PostgresError {
  /// A statement took longer than it may, or the transaction did: the same again would take as long.
  var isTooSlow: Bool { code == .server ? sqlState == .queryCanceled : code == .timedOut }
}
