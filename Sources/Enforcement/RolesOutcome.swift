import Governance
import Metadata

/// What a run in a roles lane came to.
struct RolesOutcome: Sendable {
  /// When the run began to read: what was noted later is another run's.
  let asOf: Timestamp
  let names: JobRoles
  /// By audience and name, with the reason.
  let invalidMembers: [RoleName: [String: String]]
  /// By audience and member.
  var failures: [RoleName: [RoleName: Failure]] = [:]
  /// By audience, as read back.
  var members: [RoleName: Set<RoleName>] = [:]
  var statements: [String] = []
  var dropped: [String] = []
  /// Roles that could not be dropped, with the reason.
  var leftovers: [String] = []
  private(set) var notes: [String] = []
  private(set) var roleFailures: [RoleName: Failure] = [:]
  private(set) var added = 0
  private(set) var removed = 0

  private static let auditedBytes = 8192

  init(asOf: Timestamp, names: JobRoles, invalidMembers: [RoleName: [String: String]]) {
    self.asOf = asOf
    self.names = names
    self.invalidMembers = invalidMembers
  }

  var statementText: String {
    let text = statements.joined(separator: ";\n")
    return text.utf8.count <= Self.auditedBytes ? text : String(text.prefix(Self.auditedBytes)) + " …"
  }

  mutating func note(_ made: TargetRoles.Outcome) {
    notes += made.notes
    statements += made.statements
    roleFailures.merge(made.failures) { $1 }
  }

  /// Audiences' roles that are somebody else's, whose members stay as they are.
  mutating func refuse(_ foreign: Set<RoleName>) {
    for role in foreign { roleFailures[role] = .foreign(role) }
  }

  mutating func verify(_ diff: MembershipDiff, after: [RoleName: Set<RoleName>]) {
    for change in diff.grants {
      for member in change.members {
        if after[change.role]?.contains(member) == true {
          added += 1
        } else if failures[change.role]?[member] == nil {
          failures[change.role, default: [:]][member] =
            roleFailures[member] ?? roleFailures[change.role]
            ?? Failure(
              .permanent, "role \(member) did not become a member of \(change.role)",
              remedy: "check that Sluice's role has ADMIN on the audience's role")
        }
      }
    }
    for change in diff.revokes {
      for member in change.members {
        if after[change.role]?.contains(member) != true {
          removed += 1
        } else if failures[change.role]?[member] == nil {
          failures[change.role, default: [:]][member] =
            roleFailures[change.role]
            ?? Failure(
              .permanent, "role \(member) is still a member of \(change.role) after the REVOKE",
              remedy: "another grantor made it a member: have that grantor revoke it")
        }
      }
    }
  }

  /// Who is a member of an audience, and who cannot be one, because no role can have the name, or none could be made:
  /// such a user has no grants either.
  func joined(_ audience: String) -> [String] {
    // best effort: an audience whose name no role can have, or somebody else's role has, is joined by nobody
    guard let role = try? RoleName(audience), roleFailures[role] == nil else { return [] }
    return (members[role] ?? []).map(\.value) + (invalidMembers[role] ?? [:]).keys + roleFailures.keys.map(\.value)
  }

  /// A role that cannot be a member fails the jobs of its own audiences only.
  private func concerns(_ job: ClaimedJob, _ audience: RoleName, _ member: String) -> Bool {
    guard let role = names.role(of: job) else { return true }
    return audience.value == role || member == role
  }

  private func failures(of job: ClaimedJob) -> [Failure] {
    let invalid = invalidMembers.sorted { $0.key < $1.key }.flatMap { audience, members in
      members.sorted { $0.key < $1.key }.filter { concerns(job, audience, $0.key) }.map {
        Failure.invalidRole($0.value)
      }
    }
    let failed = failures.sorted { $0.key < $1.key }.flatMap { audience, members in
      members.sorted { $0.key < $1.key }.filter { concerns(job, audience, $0.key.value) }.map(\.value)
    }
    return invalid + failed
  }

  private struct Summary: Encodable {
    var members_added: Int
    var members_removed: Int
    var dropped_roles: [String]?
    var leftovers: [String]?
    var notes: [String]?
  }

  func result(of job: ClaimedJob) -> JobResult {
    let summary = ResultText.json(
      Summary(
        members_added: added, members_removed: removed, dropped_roles: dropped.isEmpty ? nil : dropped,
        leftovers: leftovers.isEmpty ? nil : leftovers, notes: notes.isEmpty ? nil : notes))
    let all = failures(of: job)
    guard let failure = all.first(where: { $0.kind != .conflict }) ?? all.first else {
      return JobResult(id: job.id, outcome: .completed, result: summary)
    }
    if failure.kind == .conflict, job.attempt + 1 < job.maxAttempts {
      return JobResult(
        id: job.id, outcome: .retryable(LaneRun.retryBackoff.delay(failures: job.attempt + 1)),
        error: failure.message, remedy: failure.remedy, result: summary)
    }
    return JobResult(
      id: job.id, outcome: .discarded, error: failure.message, remedy: failure.remedy, result: summary)
  }
}
