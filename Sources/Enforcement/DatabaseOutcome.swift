import Foundation
import Governance
import Metadata
import Platform

/// What a run in a database came to, and from it the result of each of its jobs.
struct DatabaseOutcome: Sendable {
  let connection: Connection
  let inputs: GrantPlan.Inputs
  let plan: GrantPlan
  var names = JobRoles()
  private(set) var failures: [Grant: Failure] = [:]
  private(set) var roleFailures: [RoleName: Failure] = [:]
  private(set) var statements: [String] = []
  private(set) var notes: [String] = []
  private(set) var warnings: [String] = []
  var residual: [ResidualAccess] = []

  /// At most this many bytes of statements go into an entry of the audit trail.
  private static let auditedBytes = 8192

  init(connection: Connection, inputs: GrantPlan.Inputs, plan: GrantPlan) {
    self.connection = connection
    self.inputs = inputs
    self.plan = plan
  }

  var statementText: String {
    let text = statements.joined(separator: ";\n")
    return text.utf8.count <= Self.auditedBytes ? text : String(text.prefix(Self.auditedBytes)) + " …"
  }

  mutating func noteRoles(_ outcome: TargetRoles.Outcome) {
    roleFailures = outcome.failures
    notes += outcome.notes
    statements += outcome.statements
  }

  mutating func note(_ application: Application) {
    failures.merge(application.failures) { first, _ in first }
    statements += application.statements
    warnings += application.warnings
  }

  mutating func verify(against after: ObservedState) {
    for grant in plan.grants.subtracting(after.ours) where failures[grant] == nil && roleFailures[grant.grantee] == nil
    {
      let warning = warnings.first.map { ": \($0)" } ?? ""
      failures[grant] = Failure(
        .permanent, "\(grant.privilege.keyword) was not granted to \(grant.grantee)\(warning)",
        remedy: "have the owner grant Sluice's role that privilege WITH GRANT OPTION, then retry the job")
    }
    for grant in plan.revokes.intersection(after.ours) where failures[grant] == nil {
      failures[grant] = Failure(
        .permanent, "\(grant.privilege.keyword) of \(grant.grantee) is still there after the REVOKE",
        remedy: "another grantor made the same entry: have that grantor revoke it")
    }
  }

  /// Relations that are desired but no longer in the target.
  var missingRelations: Set<Int64> {
    Set(inputs.desired.accesses.filter { inputs.catalog.relations[$0.oid] == nil }.map(\.securable))
  }

  func result(of job: ClaimedJob) -> JobResult {
    let summary = summary(of: job)
    guard let failure = failure(of: job) else {
      return JobResult(id: job.id, outcome: .completed, result: summary)
    }
    var outcome = JobResult.Outcome.discarded
    if failure.kind == .conflict, job.attempt + 1 < job.maxAttempts {
      outcome = .retryable(LaneRun.retryBackoff.delay(failures: job.attempt + 1))
    }
    return JobResult(
      id: job.id, outcome: outcome, error: failure.message, remedy: failure.remedy, result: summary)
  }

  private func failure(of job: ClaimedJob) -> Failure? {
    if let role = role(of: job) {
      if let reason = inputs.desired.invalidRoles[role] {
        return Failure(
          .permanent, reason, remedy: "map the user to a role that PostgreSQL can have: sluice user map")
      }
      if let failure = roleFailures.first(where: { $0.key.value == role })?.value { return failure }
    }
    let concerned = failures.filter { concerns(job, $0.key) }.sorted { $0.key < $1.key }
    if let failure = (concerned.first { $0.value.kind != .conflict } ?? concerned.first)?.value { return failure }
    if job.kind == .subscribe, let securable = job.scope.securable, missingRelations.contains(securable) {
      return Failure(
        .gone, "the table is gone from the target", remedy: "a sync of its database was submitted; subscribe again")
    }
    return nil
  }

  /// Data sources that this run granted to users' roles directly, and those it took away.
  var directGrants: (given: [(role: String, securable: Int64)], taken: [(role: String, securable: Int64)]) {
    func pairs(_ grants: Set<Grant>) -> Set<Extent.Pair> {
      Set(
        grants.compactMap { grant in
          guard failures[grant] == nil, grant.securable.family == .table,
            inputs.managed[grant.grantee.value] == .user, let securable = inputs.securables[grant.securable.oid]
          else { return nil }
          return Extent.Pair(role: grant.grantee.value, securable: securable)
        })
    }
    let wanted = Set(inputs.desired.accesses.map { Extent.Pair(role: $0.role.value, securable: $0.securable) })
    return (
      pairs(plan.grants).map { ($0.role, $0.securable) },
      pairs(plan.revokes).subtracting(wanted).map { ($0.role, $0.securable) }
    )
  }

  private func role(of job: ClaimedJob) -> String? {
    names.role(of: job)
  }

  /// Whether a grant belongs to what the job is about; prerequisites belong to every job of their role.
  private func concerns(_ job: ClaimedJob, _ grant: Grant) -> Bool {
    let table = grant.securable.family == .sequence ? inputs.table(owning: grant.securable.oid) : grant.securable.oid
    let isRelation = grant.securable.family == .table || grant.securable.family == .sequence
    let securable = isRelation ? table.flatMap { inputs.securables[$0] } : nil
    switch job.scope.subject {
    case .subscription:
      return grant.grantee.value == role(of: job) && (!isRelation || securable == job.scope.securable)
    case .securable: return !isRelation || securable == job.scope.securable
    case .grantee, .audience: return grant.grantee.value == role(of: job)
    default: return true
    }
  }

  private struct Summary: Encodable {
    var granted: Int
    var revoked: Int
    var notes: [String]?
    var warnings: [String]?
    var residual_access: [ResidualAccess]?
  }

  private func summary(of job: ClaimedJob) -> String {
    let mine = residual.filter { $0.role == role(of: job) && $0.securable == job.scope.securable }
    let summary = Summary(
      granted: plan.grants.count { concerns(job, $0) && failures[$0] == nil },
      revoked: plan.revokes.count { concerns(job, $0) && failures[$0] == nil },
      notes: notes.isEmpty ? nil : notes, warnings: warnings.isEmpty ? nil : Array(Set(warnings)).sorted(),
      residual_access: mine.isEmpty ? nil : mine)
    return ResultText.json(summary)
  }
}

/// Results of jobs are JSON in the ledger.
enum ResultText {
  static func json(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return String(decoding: try encoder.encode(value), as: UTF8.self) } catch {
      preconditionFailure("texts, numbers and lists always encode: \(error)")
    }
  }
}
