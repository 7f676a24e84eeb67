import Foundation
import Governance
import Metadata
import Platform

/// What a run in a database came to, and from it the result of each of its jobs.
struct DatabaseOutcome: Sendable {
  let inputs: GrantInputs
  let plan: GrantPlan
  let names: JobRoles
  /// Qualified and quoted, of what the run granted on.
  private var securableNames: [SecurableOID: String] = [:]
  private(set) var failures: [Grant: Failure] = [:]
  private(set) var roleFailures: [RoleName: Failure] = [:]
  private(set) var statements: [String] = []
  private(set) var notes: [String] = []
  private(set) var warnings: [String] = []
  var residual: [ResidualAccess] = []

  /// At most this many ways of residual access are listed with a job; the others are counted.
  private static let reportedResiduals = 100
  /// At most this many bytes of statements go into an entry of the audit trail.
  private static let auditedBytes = 8192

  init(inputs: GrantInputs, plan: GrantPlan, names: JobRoles) {
    self.inputs = inputs
    self.plan = plan
    self.names = names
  }

  var statementText: String {
    let text = statements.joined(separator: ";\n")
    return text.utf8.count <= Self.auditedBytes ? text : String(text.prefix(Self.auditedBytes)) + " …"
  }

  mutating func noteRoles(_ outcome: TargetRoles.Outcome) {
    roleFailures.merge(outcome.failures) { $1 }
    notes += outcome.notes
    statements += outcome.statements
  }

  mutating func note(_ application: Application) {
    failures.merge(application.failures) { first, _ in first }
    statements += application.statements
    warnings += application.warnings
    for grant in plan.grants { securableNames[grant.securable] = application.names[grant.securable] }
  }

  mutating func verify(against after: ObservedState) {
    for grant in plan.grants.subtracting(after.ours).subtracting(after.owned) where failures[grant] == nil {
      let name = securableNames[grant.securable] ?? "\(grant.securable)"
      // The server names the securable without its schema, and in quotes of its own.
      let last = name.split(separator: ".").last?.filter { $0 != "\"" } ?? ""
      let warning = warnings.first { $0.contains(last) }.map { ": \($0)" } ?? ""
      failures[grant] =
        roleFailures[grant.grantee]
        ?? Failure(
          .permanent, "\(grant.privilege.keyword) on \(name) was not granted to \(grant.grantee)\(warning)",
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
    if let invalid = inputs.desired.invalidRoles.first(where: { concerns(job, role: $0.key, $0.value.securables) }) {
      return invalid.value.failure
    }
    if let failure = roleFailures.first(where: { $0.key.value == role(of: job) })?.value { return failure }
    let concerned = failures.filter { concerns(job, $0.key) }.sorted { $0.key < $1.key }
    if let failure = (concerned.first { $0.value.kind != .conflict } ?? concerned.first)?.value { return failure }
    if job.kind == .subscribe, let securable = job.scope.securable, missingRelations.contains(securable) {
      return Failure(
        .gone, "the table is gone from the target", remedy: "a sync of its database was submitted; subscribe again")
    }
    return nil
  }

  /// What this run granted to users' roles.
  var given: [ManagedGrant] {
    Array(Set(plan.grants.filter { failures[$0] == nil }.compactMap(remembered)))
  }

  /// What was remembered of users' roles, is not wanted, and is not there any more, whoever took it.
  var taken: [ManagedGrant] {
    let left = inputs.observed.ours.subtracting(plan.revokes.filter { failures[$0] == nil })
    let kept = Set(inputs.wanted.union(left).compactMap(inputs.atTable))
    return inputs.remembered.grants.filter { grant in
      inputs.places.grant(grant).map { !kept.contains($0) } ?? false
    }
  }

  /// The data sources of which roles lost something, or of which Sluice remembered that they had something.
  var revokedPairs: Set<Extent.Pair> {
    let revoked = plan.revokes.compactMap(inputs.atTable).compactMap(inputs.places.managed)
    return Set(
      (revoked + inputs.remembered.grants.filter { inputs.places.grant($0).map(inputs.covers) ?? false })
        .map { Extent.Pair(role: $0.role, securable: $0.securable) })
  }

  private func remembered(_ grant: Grant) -> ManagedGrant? {
    guard inputs.managed[grant.grantee.value] == .user else { return nil }
    return inputs.atTable(grant).flatMap(inputs.places.managed)
  }

  private func role(of job: ClaimedJob) -> String? {
    names.role(of: job)
  }

  /// Whether a grant belongs to what the job is about; prerequisites belong to every job of their role.
  private func concerns(_ job: ClaimedJob, _ grant: Grant) -> Bool {
    let table = inputs.table(of: grant.securable)
    let place = job.scope.securable.flatMap { inputs.places[$0] }
    // Of the prerequisites, those of the data source's own schema.
    let schema = place.flatMap { inputs.catalog.relations[$0.oid]?.schemaOID }
    let isInScope =
      grant.securable.family == .schema
      ? schema == nil || schema == grant.securable.oid : table == nil || table == place
    switch job.scope.subject {
    case .subscription:
      return grant.grantee.value == role(of: job) && isInScope
    case .securable: return isInScope
    case .grantee, .audience: return grant.grantee.value == role(of: job)
    default: return true
    }
  }

  private func concerns(_ job: ClaimedJob, _ residual: ResidualAccess) -> Bool {
    switch job.scope.subject {
    case .subscription: residual.role == role(of: job) && residual.securable == job.scope.securable
    case .grantee, .audience: residual.role == role(of: job)
    case .securable: residual.securable == job.scope.securable
    default: true
    }
  }

  /// Whether a role that cannot exist should have had something that the job is about.
  private func concerns(_ job: ClaimedJob, role: String, _ securables: Set<Int64>) -> Bool {
    switch job.scope.subject {
    case .subscription, .grantee, .audience: role == self.role(of: job)
    case .securable: job.scope.securable.map(securables.contains) ?? false
    default: false
    }
  }

  private struct Summary: Encodable {
    var granted: Int
    var revoked: Int
    var notes: [String]?
    var warnings: [String]?
    var residual_access: [ResidualAccess]?
    var residual_access_unlisted: Int?
  }

  private func summary(of job: ClaimedJob) -> String {
    let mine = job.kind == .revoke ? residual.filter { concerns(job, $0) } : []
    let summary = Summary(
      granted: plan.grants.count { concerns(job, $0) && failures[$0] == nil },
      revoked: plan.revokes.count { concerns(job, $0) && failures[$0] == nil },
      notes: notes.isEmpty ? nil : notes, warnings: warnings.isEmpty ? nil : Array(Set(warnings)).sorted(),
      residual_access: mine.isEmpty ? nil : Array(mine.prefix(Self.reportedResiduals)),
      residual_access_unlisted: mine.count > Self.reportedResiduals ? mine.count - Self.reportedResiduals : nil)
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
