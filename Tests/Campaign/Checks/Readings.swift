import Platform

/// What was read of the ledger, the target and Redis at the end. The checks are functions of these values alone.
package struct Readings: Sendable {
  package var jobs: [JobReading] = []
  package var attempts: [AttemptReading] = []
  package var transitions: [TransitionReading] = []
  /// What the requests asked for last.
  package var asked: [AccessKey: Access] = [:]
  /// The same as the metadata database has it.
  package var desired: [AccessKey: Access] = [:]
  /// What the target says each user can do, through whatever role.
  package var observed: [AccessKey: Set<String>] = [:]
  /// Direct grants on tables that the desired state lists.
  package var desiredGrants: Set<GrantReading> = []
  /// Direct grants on tables that the target has, without those of its own owners.
  package var observedGrants: Set<GrantReading> = []
  /// Roles with USAGE on the schema or CONNECT, by database.
  package var admitted: [String: Set<String>] = [:]
  package var desiredMembers: Set<MemberReading> = []
  package var observedMembers: Set<MemberReading> = []
  /// Roles that somebody asks for: users' and audiences'.
  package var desiredRoles: Set<RoleReading> = []
  package var observedRoles: Set<RoleReading> = []
  package var queue = QueueReading()

  package init() {}
}

package struct JobReading: Sendable {
  package var id: Int64
  package var lane: Int64
  package var kind: String
  package var state: String
  package var attempt: Int
  package var stalls: Int
  package var hasOpenKey: Bool
  /// Seconds since 1970.
  package var createdAt: Double
  package var finishedAt: Double?
  package var error: String?

  package init(
    id: Int64, lane: Int64 = 1, kind: String = "subscribe", state: String = "completed", attempt: Int = 1,
    stalls: Int = 0, hasOpenKey: Bool = false, createdAt: Double = 0, finishedAt: Double? = 1, error: String? = nil
  ) {
    self.id = id
    self.lane = lane
    self.kind = kind
    self.state = state
    self.attempt = attempt
    self.stalls = stalls
    self.hasOpenKey = hasOpenKey
    self.createdAt = createdAt
    self.finishedAt = finishedAt
    self.error = error
  }

  var isFinal: Bool { Self.finalStates.contains(state) }
  static let finalStates: Set<String> = ["completed", "discarded", "cancelled"]
}

/// One accepted settlement.
package struct AttemptReading: Sendable {
  package var job: Int64
  package var lane: Int64
  package var fence: Fence
  package var outcome: String
  /// When it was claimed and when its result was written, in seconds since 1970.
  package var startedAt: Double
  package var finishedAt: Double
  package var error: String?

  package init(
    job: Int64, lane: Int64 = 1, fence: Fence, outcome: String = "completed", startedAt: Double = 0,
    finishedAt: Double = 1, error: String? = nil
  ) {
    self.job = job
    self.lane = lane
    self.fence = fence
    self.outcome = outcome
    self.startedAt = startedAt
    self.finishedAt = finishedAt
    self.error = error
  }

  var isFinal: Bool { JobReading.finalStates.contains(outcome) }
}

package struct GrantReading: Sendable, Hashable, CustomStringConvertible {
  package let role: String
  package let table: TableName
  package let privilege: String

  package init(role: String, table: TableName, privilege: String) {
    self.role = role
    self.table = table
    self.privilege = privilege
  }

  package var description: String { "\(privilege) on \(table) to \(role)" }
}

/// A role of a connection's target.
package struct RoleReading: Sendable, Hashable, CustomStringConvertible {
  package let connection: String
  package let role: String

  package init(connection: String, role: String) {
    self.connection = connection
    self.role = role
  }

  package var description: String { "\(role) of \(connection)" }
}

package struct MemberReading: Sendable, Hashable, CustomStringConvertible {
  package let role: RoleReading
  package let member: String

  package init(role: RoleReading, member: String) {
    self.role = role
    self.member = member
  }

  package var description: String { "\(member) in \(role)" }
}

/// What Redis holds.
package struct QueueReading: Sendable, Decodable {
  // As `sluice queue stats -o json` counts them.
  package var waiting = 0
  package var leased = 0
  package var delayed = 0
  /// Reports under a fence that was no longer the lane's, since Redis was filled last.
  package var stale = 0
  /// Keys that there are, as Redis itself counts them; nil where it was not asked.
  package var keys: Int?

  package init() {}
}
