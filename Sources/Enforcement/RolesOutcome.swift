import Governance
import Metadata

/// What a run in a roles lane came to.
struct RolesOutcome: Sendable {
  /// When the run began to read: what was noted later is another run's.
  let asOf: Timestamp
  let names: JobRoles
  let memberships: RolesRun.Memberships
  /// What became of audiences that somebody had renamed.
  let naming: TargetRoles.Naming
  /// By audience and member.
  private(set) var failures: [RoleName: [RoleName: Failure]] = [:]
  var statements: [String] = []
  var dropped: [String] = []
  /// Roles that could not be dropped, with the reason.
  private var kept: [(role: String, text: String)] = []
  /// What is to be said of roles that were made.
  private var notes: [RoleName: String] = [:]
  private(set) var roleFailures: [RoleName: Failure] = [:]
  /// Memberships that should not be there and are not ours to take away.
  private var residual: [Membership]
  /// What was read back of the memberships that were made.
  private var verified = VerifiedMemberships()
  private var added = MembershipCount()
  private var removed = MembershipCount()

  private static let auditedBytes = 8192
  /// At most this many memberships, roles and notes are listed with a job; of the first two the others are counted.
  private static let listed = 100

  init(
    asOf: Timestamp, names: JobRoles = JobRoles(), memberships: RolesRun.Memberships = .init(),
    naming: TargetRoles.Naming = .init()
  ) {
    self.asOf = asOf
    self.names = names
    self.memberships = memberships
    self.naming = naming
    residual = memberships.diff.residual
    statements = naming.statements
    roleFailures = naming.failures
  }

  var statementText: String {
    let text = statements.joined(separator: ";\n")
    return text.utf8.count <= Self.auditedBytes ? text : String(text.prefix(Self.auditedBytes)) + " …"
  }

  mutating func note(_ made: TargetRoles.Outcome) {
    notes.merge(made.notes) { $1 }
    statements += made.statements
    roleFailures.merge(made.failures) { $1 }
  }

  mutating func keep(_ role: RoleName, _ reason: String) {
    kept.append((role.value, "role \"\(role)\" is kept: \(reason)"))
  }

  var leftovers: [String] { kept.map(\.text) }

  /// Adds what was dropped in a transaction of its own, and is recorded.
  mutating func note(_ drops: RolesOutcome) {
    dropped += drops.dropped
    kept += drops.kept
  }

  mutating func note(_ application: MembershipApplication) {
    failures.merge(application.failures) { $0.merging($1) { first, _ in first } }
    statements += application.statements
  }

  /// Audiences' roles that are somebody else's, whose members stay as they are.
  mutating func refuse(_ foreign: Set<RoleName>) {
    for role in foreign { roleFailures[role] = .foreign(role) }
    residual.removeAll { foreign.contains($0.role) }
  }

  /// - Parameter after: the memberships of the members that were to change, read back
  mutating func verify(_ diff: MembershipDiff, after: [Membership]) {
    let members = diff.members
    let left = MembershipDiff(
      desired: memberships.desired.filter { diff.audiences.contains($0.key) }.mapValues(members.intersection),
      observed: after)
    let missing = Set(left.grants.flatMap(\.pairs))
    for pair in diff.grants.flatMap(\.pairs) {
      guard missing.contains(pair) else {
        added.add(pair)
        continue
      }
      let isThere = after.contains { $0.isOurs && $0.role == pair.role && $0.member == pair.member }
      fail(
        pair,
        isThere
          ? Failure(
            .permanent, "role \(pair.member) is a member of \(pair.role) and does not inherit its privileges",
            remedy: "run: ALTER ROLE … INHERIT, then retry the job")
          : Failure(
            .permanent, "role \(pair.member) did not become a member of \(pair.role)",
            remedy: "check that Sluice's role has ADMIN on the audience's role"))
    }
    let surplus = Set(left.revokes.flatMap(\.pairs))
    for pair in Set(diff.revokes.flatMap(\.pairs)) {
      if surplus.contains(pair) {
        fail(
          pair,
          Failure(
            .permanent, "role \(pair.member) is still a member of \(pair.role) after the REVOKE",
            remedy: "another grantor made it a member: have that grantor revoke it"))
      } else if memberships.desired[pair.role]?.contains(pair.member) != true {
        removed.add(pair)
      }
    }
    let granted = Set(diff.grants.flatMap(\.pairs))
    verified = VerifiedMemberships(
      after.filter { $0.isOurs && granted.contains(.init(role: $0.role, member: $0.member)) })
  }

  /// Who is to be a member no more of some audience of data sources.
  func leavers(_ diff: MembershipDiff) -> [String] {
    let left = diff.revokes.flatMap(\.pairs).filter {
      !memberships.waysIn.contains($0.role) && memberships.desired[$0.role]?.contains($0.member) != true
    }
    return Set(left.map(\.member.value)).sorted()
  }

  private mutating func fail(_ pair: MembershipChange.Pair, _ failure: Failure) {
    guard failures[pair.role]?[pair.member] == nil else { return }
    failures[pair.role, default: [:]][pair.member] = roleFailures[pair.member] ?? roleFailures[pair.role] ?? failure
  }

  /// Why a membership is not as it should be.
  func problem(_ pair: MembershipChange.Pair) -> Failure? {
    failures[pair.role]?[pair.member] ?? roleFailures[pair.role]
  }

  /// Who is a member of an audience, and who cannot be one, because no role can have the name, or none could be made:
  /// such a user has no grants either.
  func joined(_ audience: String) -> [String] {
    // best effort: an audience whose name no role can have, or somebody else's role has, is joined by nobody
    guard let role = try? RoleName(audience), roleFailures[role] == nil else { return [] }
    // Who was a member already, or was read back as one.
    let members = (memberships.desired[role] ?? []).filter { failures[role]?[$0] == nil }
    return members.map(\.value) + (memberships.invalid[role] ?? [:]).keys + roleFailures.keys.map(\.value)
  }

  /// A role that cannot be a member fails the jobs of its own audiences only.
  private func concerns(_ job: ClaimedJob, _ audience: RoleName, _ member: String) -> Bool {
    guard let role = names.role(of: job) else { return true }
    return audience.value == role || member == role
  }

  /// Jobs that are about one role are about no other.
  private func concerns(_ job: ClaimedJob, _ role: String) -> Bool { names.role(of: job).map { $0 == role } ?? true }

  private func isMember(_ role: RoleName, of audience: String?) -> Bool {
    memberships.desired.contains { $0.key.value == audience && $0.value.contains(role) }
  }

  private func failures(of job: ClaimedJob) -> [Failure] {
    let invalid = memberships.invalid.sorted { $0.key < $1.key }.flatMap { audience, members in
      members.sorted { $0.key < $1.key }.filter { concerns(job, audience, $0.key) }.map {
        Failure.invalidRole($0.value)
      }
    }
    let failed = failures.sorted { $0.key < $1.key }.flatMap { audience, members in
      members.sorted { $0.key < $1.key }.filter { concerns(job, audience, $0.key.value) }.map(\.value)
    }
    // Who is a member of an audience that nobody finds by its name, nobody knows.
    let isOfOne = job.scope.subject == .audience || job.scope.subject == .retirement
    let unnamed = naming.failures.sorted { $0.key < $1.key }
      .filter { !isOfOne || $0.key.value == names.role(of: job) }.map(\.value)
    return unnamed + invalid + failed
  }

  private struct Summary: Encodable {
    var members_added: Int
    var members_removed: Int
    /// How many of the memberships were read back as they should be, and some of them.
    var verified: Int?
    var verified_members: [MembershipText]?
    var dropped_roles: [String]?
    var dropped_roles_unlisted: Int?
    var leftovers: [String]?
    var leftovers_unlisted: Int?
    var notes: [String]?
    var residual_access: [MembershipText]?
    var residual_access_unlisted: Int?
  }

  private func summary(of job: ClaimedJob) -> Summary {
    func listed<Element>(_ all: [Element]) -> [Element]? { all.isEmpty ? nil : Array(all.prefix(Self.listed)) }
    func unlisted<Element>(_ all: [Element]) -> Int? { all.count > Self.listed ? all.count - Self.listed : nil }
    let role = names.role(of: job)
    let residual = residual.filter { concerns(job, $0.role, $0.member.value) }
    let verified = verified[role]
    let dropped = dropped.filter { concerns(job, $0) }
    let leftovers = kept.filter { concerns(job, $0.role) }.map(\.text)
    let notes = notes.filter { concerns(job, $0.key.value) || isMember($0.key, of: role) }.map(\.value).sorted()
    return Summary(
      members_added: added[role], members_removed: removed[role], verified: verified.isEmpty ? nil : verified.count,
      verified_members: listed(verified)?.map(MembershipText.init), dropped_roles: listed(dropped),
      dropped_roles_unlisted: unlisted(dropped), leftovers: listed(leftovers), leftovers_unlisted: unlisted(leftovers),
      notes: listed(notes), residual_access: listed(residual)?.map(MembershipText.init),
      residual_access_unlisted: unlisted(residual))
  }

  func result(of job: ClaimedJob) -> JobResult {
    let summary = ResultText.json(summary(of: job))
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

/// How many memberships: all of them, and those that a role has or gives.
private struct MembershipCount: Sendable {
  private var all = 0
  private var byRole: [String: Int] = [:]

  mutating func add(_ pair: MembershipChange.Pair) {
    all += 1
    for role in [pair.role, pair.member] { byRole[role.value, default: 0] += 1 }
  }

  /// - Parameter role: nil for all
  subscript(_ role: String?) -> Int { role.map { byRole[$0] ?? 0 } ?? all }
}

/// Memberships that were read back, by the roles that have or give them, so that each of many jobs finds its own.
private struct VerifiedMemberships: Sendable {
  private var all: [Membership] = []
  private var places: [String: [Int]] = [:]

  init() {}

  init(_ memberships: [Membership]) {
    all = memberships
    for (place, membership) in memberships.enumerated() {
      for role in [membership.role, membership.member] { places[role.value, default: []].append(place) }
    }
  }

  /// - Parameter role: nil for all
  subscript(_ role: String?) -> [Membership] { role.map { (places[$0] ?? []).map { all[$0] } } ?? all }
}

/// A membership in the result of a job, with the words of residual access.
private struct MembershipText: Encodable {
  let grantee: String
  let route = "membership"
  let via: String
  let grantor: String
  let privileges: String

  init(_ membership: Membership) {
    grantee = membership.member.value
    via = membership.role.value
    grantor = membership.grantor.value
    privileges = [
      membership.inherits ? "INHERIT" : nil, membership.canSet ? "SET" : nil, membership.isAdmin ? "ADMIN" : nil,
    ].compactMap(\.self).joined(separator: ", ")
  }
}
