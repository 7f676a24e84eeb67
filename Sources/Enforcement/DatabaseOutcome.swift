import Governance
import Metadata

/// What a transaction in a database came to.
struct DatabaseOutcome: Sendable {
  let inputs: GrantInputs
  private(set) var plan: GrantPlan
  let names: JobRoles
  private(set) var prerequisites = Prerequisites()
  private(set) var failures: [Grant: Failure] = [:]
  private(set) var roleFailures: [RoleName: Failure] = [:]
  private(set) var statements: [String] = []
  private var notes: [Note]
  /// What the server remarked on the statements that named a grant.
  private var warnings: [Grant: [String]] = [:]
  /// What was read back, and what its securables were called.
  private var verified: (entries: Verification, names: GrantStatements.Names)?
  private var index = GrantIndex()

  /// Something to be said of a role, or of what a role has on a data source.
  private struct Note {
    let text: String
    let role: String
    var securable: Int64?
  }

  /// At most this many bytes of statements go into an entry of the audit trail.
  private static let auditedBytes = 8192

  init(inputs: GrantInputs, plan: GrantPlan, names: JobRoles, naming: TargetRoles.Naming = .init()) {
    self.inputs = inputs
    self.plan = plan
    self.names = names
    roleFailures = naming.failures
    statements = naming.statements
    notes = inputs.unwritable.map { access, name in
      Note(
        text: "\(name) cannot be written: only what has an effect there is granted", role: access.role.value,
        securable: access.securable)
    }
  }

  var statementText: String {
    let text = statements.joined(separator: ";\n")
    return text.utf8.count <= Self.auditedBytes ? text : String(text.prefix(Self.auditedBytes)) + " …"
  }

  var verifiedCount: Int { verified?.entries.count ?? 0 }

  /// The roles that were granted something.
  var receiving: Set<String> { Set(plan.grants.map(\.grantee.value)) }

  /// Our entries before the statements, wherever those touch anything.
  var observed: Set<Grant> { inputs.observed.ours.union(prerequisites.observed) }

  mutating func noteRoles(_ outcome: TargetRoles.Outcome, for grants: Set<Grant>) {
    roleFailures.merge(outcome.failures) { $1 }
    notes += outcome.notes.map { Note(text: $0.value, role: $0.key.value) }
    statements += outcome.statements
    guard !outcome.failures.isEmpty else { return }
    for grant in grants { failures[grant] = outcome.failures[grant.grantee] ?? failures[grant] }
  }

  mutating func take(_ unused: Prerequisites, apartFrom refused: Set<Grant>) {
    prerequisites = unused
    prerequisites.revokes.subtract(refused)
    plan.revokes.formUnion(prerequisites.revokes)
  }

  mutating func note(_ application: Application) {
    failures.merge(application.failures) { first, _ in first }
    statements += application.statements
    for done in application.done where !done.warnings.isEmpty {
      for grant in done.rectangle.grants { warnings[grant, default: []] += done.warnings }
    }
  }

  mutating func note(_ verification: Verification, _ names: GrantStatements.Names) {
    failures.merge(verification.failures) { first, _ in first }
    verified = (verification, names)
  }

  /// Relations to be looked at again because somebody else changed them at the same time.
  var conflicts: Set<UInt32> {
    let lost = failures.filter { $0.value.kind == .conflict }.keys
    return Set(
      lost.flatMap { grant in
        grant.securable.family >= .table
          ? inputs.tables(of: grant.securable).map(\.oid) : Array(inputs.catalog.relations.keys)
      })
  }

  /// Takes out what is tried once more in another transaction.
  mutating func withdrawConflicts() {
    let lost = Set(failures.filter { $0.value.kind == .conflict }.keys)
    plan.grants.subtract(lost)
    plan.revokes.subtract(lost)
    for grant in lost { failures[grant] = nil }
    roleFailures = roleFailures.filter { $0.value.kind != .conflict }
  }

  /// Once everything is done: each of many jobs finds its own.
  mutating func index(for jobs: [ClaimedJob]) { index = GrantIndex(plan, inputs, for: Set(jobs.map(\.scope.subject))) }

  /// Relations that are desired but no longer in the target.
  var missingRelations: Set<Int64> {
    Set(inputs.desired.accesses.filter { inputs.catalog.relations[$0.oid] == nil }.map(\.securable))
  }

  /// What this run granted to users' roles; what is on a sequence, for the sake of those tables that they may write.
  var given: [ManagedGrant] {
    let done = plan.grants.filter { inputs.managed[$0.grantee.value] == .user && failures[$0] == nil }
    guard !done.isEmpty else { return [] }
    let writing = Set(
      inputs.desired.accesses.filter { $0.access == .write }
        .map { Extent.Pair(role: $0.role.value, securable: $0.securable) })
    return Array(
      Set(
        done.flatMap { grant in
          remembered(grant).filter {
            grant.securable.family != .sequence
              || writing.contains(Extent.Pair(role: $0.role, securable: $0.securable))
          }
        }))
  }

  /// What was remembered of users' roles, is not wanted, and is not there any more, whoever took it.
  var taken: [ManagedGrant] {
    if inputs.remembered.grants.isEmpty && prerequisites.forgotten.isEmpty { return [] }
    let left = inputs.observed.ours.subtracting(plan.revokes.filter { failures[$0] == nil })
    let kept = Set(inputs.wanted.union(left).flatMap(inputs.atTables))
    let gone = inputs.remembered.grants.filter { grant in
      inputs.places.grant(grant).map { !kept.contains($0) } ?? false
    }
    let refused = Set(failures.keys.flatMap(remembered))
    return gone + prerequisites.forgotten.filter { !refused.contains($0) }
  }

  /// The data sources of which roles lost something, or of which Sluice remembered that they had something.
  var revokedPairs: Set<Extent.Pair> {
    let revoked = plan.revokes.filter { $0.securable.family == .table }.compactMap(inputs.places.managed)
    return Set(
      (revoked + inputs.remembered.grants.filter { inputs.places.grant($0).map(inputs.covers) ?? false })
        .filter { !inputs.isShared($0.securable) }
        .map { Extent.Pair(role: $0.role, securable: $0.securable) })
  }

  private func remembered(_ grant: Grant) -> [ManagedGrant] {
    guard inputs.managed[grant.grantee.value] == .user else { return [] }
    return inputs.atTables(grant).compactMap(inputs.places.managed)
  }
}

// What of it belongs to a job.
extension DatabaseOutcome {
  /// What was to be done for the job; prerequisites belong to every job of their role.
  private func grants(of job: ClaimedJob) -> [Grant] {
    let role = names.role(of: job)
    // What another transaction was about is not here.
    let place = job.scope.securable.flatMap { inputs.places[$0] }
    let schema = place.flatMap { inputs.catalog.relations[$0.oid]?.schemaOID }
    return switch job.scope.subject {
    case .subscription: place.map { index.grants(of: role, at: $0, schema: schema) } ?? []
    case .securable: place.map { index.grants(at: $0, schema: schema) } ?? []
    case .grantee, .audience: index.grants(of: role)
    default: index.all
    }
  }

  /// What was done for a job, and read back.
  struct Work {
    let granted: Int
    let revoked: Int
    let verified: Int
    /// Some of what was read back, in words.
    let texts: [String]
  }

  /// - Parameter listed: at most so many entries come as text
  func work(of job: ClaimedJob, listed: Int) -> Work {
    let all = grants(of: job)
    let mine = failures.isEmpty ? all : all.filter { failures[$0] == nil }
    let revoked = plan.revokes.isEmpty ? 0 : mine.count { plan.revokes.contains($0) }
    guard let (entries, names) = verified else {
      return Work(granted: mine.count - revoked, revoked: revoked, verified: 0, texts: [])
    }
    let isWhole = failures.isEmpty && entries.count == plan.size
    let found = isWhole ? mine : mine.filter(entries.holds)
    let texts = (listed > 0 ? found.sorted() : []).prefix(listed).map { entries.text($0, names) }
    return Work(granted: mine.count - revoked, revoked: revoked, verified: found.count, texts: texts)
  }

  /// What is to be said of what the job is about.
  func notes(of job: ClaimedJob) -> [String] {
    let role = names.role(of: job)
    return notes.filter { note in
      (role == nil || note.role == role)
        && (job.scope.securable == nil || note.securable == nil || note.securable == job.scope.securable)
    }.map(\.text)
  }

  /// What the server remarked where the job failed: what is as it should be, no warning was about.
  func warnings(of job: ClaimedJob) -> [String] {
    warnings.isEmpty ? [] : grants(of: job).filter { failures[$0] != nil }.flatMap { warnings[$0] ?? [] }
  }

  func failures(of job: ClaimedJob) -> [Failure] {
    let role = names.role(of: job)
    var found = inputs.desired.invalidRoles.filter { concerns(job, role: $0.key, $0.value.securables) }
      .map(\.value.failure)
    if let role { found += roleFailures.filter { $0.key.value == role }.map(\.value) }
    if !failures.isEmpty { found += grants(of: job).sorted().compactMap { failures[$0] } }
    if job.kind == .subscribe, let securable = job.scope.securable, missingRelations.contains(securable) {
      found.append(
        Failure(
          .gone, "the table is gone from the target", remedy: "a sync of its database was submitted; subscribe again"))
    }
    return found
  }

  /// Whether a role that cannot exist should have had something that the job is about.
  private func concerns(_ job: ClaimedJob, role: String, _ securables: Set<Int64>) -> Bool {
    switch job.scope.subject {
    case .subscription, .grantee, .audience: role == names.role(of: job)
    case .securable: job.scope.securable.map(securables.contains) ?? false
    default: false
    }
  }
}

/// Grants by what jobs name, so that each of many jobs finds its own.
private struct GrantIndex: Sendable {
  private struct Pair: Hashable {
    let role: String
    let table: SecurableOID
  }

  private(set) var all: [Grant] = []
  private var byRole: [String: [Grant]] = [:]
  private var byTable: [SecurableOID: [Grant]] = [:]
  private var byPair: [Pair: [Grant]] = [:]
  /// On schemas and the database, and on sequences of no known table.
  private var apart: [Grant] = []
  private var apartByRole: [String: [Grant]] = [:]

  init() {}

  /// - Parameter subjects: what the jobs name; of the others nothing is found
  init(_ plan: GrantPlan, _ inputs: GrantInputs, for subjects: Set<JobScope.Subject>) {
    all = Array(plan.grants) + plan.revokes
    if !subjects.isDisjoint(with: [.grantee, .audience]) { byRole = Dictionary(grouping: all, by: \.grantee.value) }
    guard !subjects.isDisjoint(with: [.subscription, .securable]) else { return }
    for grant in all {
      let role = grant.grantee.value
      let tables = inputs.tables(of: grant.securable)
      if tables.isEmpty {
        apart.append(grant)
        apartByRole[role, default: []].append(grant)
      }
      for table in tables {
        byTable[table, default: []].append(grant)
        byPair[Pair(role: role, table: table), default: []].append(grant)
      }
    }
  }

  func grants(of role: String?) -> [Grant] { role.flatMap { byRole[$0] } ?? [] }

  /// Of the prerequisites, those of the data source's own schema.
  func grants(of role: String?, at table: SecurableOID, schema: UInt32?) -> [Grant] {
    guard let role else { return [] }
    let own = byPair[Pair(role: role, table: table)] ?? []
    return own + (apartByRole[role] ?? []).filter { Self.belongs($0, to: schema) }
  }

  func grants(at table: SecurableOID, schema: UInt32?) -> [Grant] {
    (byTable[table] ?? []) + apart.filter { Self.belongs($0, to: schema) }
  }

  private static func belongs(_ grant: Grant, to schema: UInt32?) -> Bool {
    grant.securable.family != .schema || schema == nil || schema == grant.securable.oid
  }
}
