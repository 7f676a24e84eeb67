import Foundation
import Platform

/// The states of a job; `V0004_create_ledger.sql` says who moves a job in and out of each.
package enum JobState: String, Sendable, CaseIterable {
  case available, scheduled, running, retryable, completed, discarded, cancelled

  package var isFinal: Bool { self == .completed || self == .discarded || self == .cancelled }
}

/// What a job is about: the part of the desired state that the worker reads when the job runs, never the grants
/// themselves.
package struct JobScope: Sendable, Hashable, Codable {
  package enum Subject: String, Sendable, Codable {
    /// Sync: everything below the connection, a database, a schema, or one relation.
    case connection, database, schema, relation
    /// One user on one data source.
    case subscription
    /// One audience: its members in a roles lane, its grants in a database lane.
    case audience
    /// Everything a role holds through Sluice, such as after a change of mapping.
    case grantee
    /// What a role can still do on the data sources of a database that it should not have, such as after it left an
    /// audience. Nothing is changed.
    case residual
    /// Every role that Sluice manages on one data source.
    case securable
    /// Dropping a role that Sluice made, once nothing refers to it.
    case retirement
    /// Every role that Sluice manages and everything it granted: a database's grants, or the members of all audiences.
    case everything
    /// As `everything`, because the connection is being left.
    case leave
    /// What somebody may have changed in the target since the last look.
    case sweep
    /// Audiences of a connection.
    case governance
  }

  package let subject: Subject
  package var securable: Int64?
  package var identity: Int64?
  package var audience: Int64?
  package var role: String?
  /// Whether the role's sessions in the database end once the revoke is committed; nil for not.
  package var endsSessions: Bool?

  private init(_ subject: Subject) { self.subject = subject }

  package static let connection = JobScope(.connection)
  package static let everything = JobScope(.everything)
  package static let leave = JobScope(.leave)
  package static let sweep = JobScope(.sweep)
  package static let governance = JobScope(.governance)
  package static func database(_ id: Int64) -> JobScope { with(.database) { $0.securable = id } }
  package static func schema(_ id: Int64) -> JobScope { with(.schema) { $0.securable = id } }
  package static func relation(_ id: Int64) -> JobScope { with(.relation) { $0.securable = id } }
  package static func securable(_ id: Int64) -> JobScope { with(.securable) { $0.securable = id } }
  package static func audience(_ id: Int64) -> JobScope { with(.audience) { $0.audience = id } }
  package static func grantee(_ role: String) -> JobScope { with(.grantee) { $0.role = role } }
  package static func residual(_ role: String) -> JobScope { with(.residual) { $0.role = role } }
  package static func retirement(_ role: String) -> JobScope { with(.retirement) { $0.role = role } }
  package static func subscription(identity: Int64, securable: Int64, endsSessions: Bool = false) -> JobScope {
    with(.subscription) {
      $0.identity = identity
      $0.securable = securable
      $0.endsSessions = endsSessions ? true : nil
    }
  }

  private static func with(_ subject: Subject, _ fill: (inout JobScope) -> Void) -> JobScope {
    var scope = JobScope(subject)
    fill(&scope)
    return scope
  }

  /// The scope as the ledger keeps it.
  package var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return String(decoding: try encoder.encode(self), as: UTF8.self) } catch {
      preconditionFailure("a scope of numbers and one string always encodes: \(error)")
    }
  }

  package init(json: String) throws {
    do { self = try JSONDecoder().decode(JobScope.self, from: Data(json.utf8)) } catch {
      throw MetadataError(.corrupt, "the scope of a job cannot be read: it was written by another version")
    }
  }
}

/// A job to be submitted. The same lane, kind and scope coalesces into a job that has not started, which then has the more
/// urgent class of the two.
package struct JobRequest: Sendable {
  package var lane: Int64
  package var kind: JobKind
  package var jobClass: JobClass
  package var scope: JobScope
  package var parent: Int64?

  package init(lane: Int64, kind: JobKind, jobClass: JobClass, scope: JobScope, parent: Int64? = nil) {
    self.lane = lane
    self.kind = kind
    self.jobClass = jobClass
    self.scope = scope
    self.parent = parent
  }
}

/// What coalesces: of the jobs that have not started, there is one of each.
struct CoalescingKey: Hashable, Comparable {
  let lane: Int64
  /// Kind and scope. Names come last, because they may hold anything.
  let openKey: String

  init(lane: Int64, openKey: String) {
    self.lane = lane
    self.openKey = openKey
  }

  init(_ request: JobRequest) {
    lane = request.lane
    let scope = request.scope
    func number(_ value: Int64?) -> String { value.map(String.init) ?? "-" }
    openKey = [
      request.kind.rawValue, scope.subject.rawValue, number(scope.securable), number(scope.identity),
      number(scope.audience), scope.endsSessions == true ? "ending" : nil, scope.role,
    ].compactMap(\.self).joined(separator: " ")
  }

  static func < (left: CoalescingKey, right: CoalescingKey) -> Bool {
    (left.lane, left.openKey) < (right.lane, right.openKey)
  }
}

package struct SubmittedJob: Sendable, Hashable {
  package let id: Int64
  package let lane: Int64
  /// False: the request coalesced into a job that had not started.
  package let isNew: Bool
  /// Redis holds as many jobs as it may, of all connections or of this job's, or the outbox has grown long: this one is
  /// safe, but waits for room before it waits for its turn. Whoever has more to submit slows down.
  package let isQueueFull: Bool
}

/// A job as the ledger knows it.
package struct Job: Sendable {
  package let id: Int64
  package let lane: Lane
  package let connection: String
  package let kind: JobKind
  package let jobClass: JobClass
  package let state: JobState
  package let scope: JobScope
  package let parent: Int64?
  package let coalesced: Int
  package let attempt: Int
  package let maxAttempts: Int
  package let stalls: Int
  package let isEnqueued: Bool
  package let createdAt: String
  package let scheduledAt: String
  package let startedAt: String?
  package let finishedAt: String?
  package let worker: String?
  package let error: String?
  package let remedy: String?
  /// JSON; what the run did and verified.
  package let result: String?
}

/// One attempt of a job.
package struct JobAttempt: Sendable {
  package let number: Int
  package let fence: Fence
  package let worker: String
  package let outcome: String
  package let startedAt: String
  package let finishedAt: String
  package let error: String?
  package let result: String?
}
