import Governance
import Metadata
import Platform
import Postgres

/// Runs the jobs of a roles lane: who is a member of which audience, and which roles are dropped. Membership changes
/// and role drops happen nowhere else, because concurrent ones leave dangling rows behind (GRANTS.md d-1).
struct RolesRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let worker: String

  /// The run's first part: what the jobs ask for, but not the end of leaving.
  func work(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> RolesOutcome {
    var step = try await locked(session) { try await reconcile(jobs, in: $0) }
    if case .needs(let roles, let names) = step {
      var made = try await make(roles, in: session)
      made.statements = names + made.statements
      step = try await locked(session) { [made] in try await reconcile(jobs, after: made, in: $0) }
    }
    guard case .done(let outcome) = step else { preconditionFailure("roles are made beforehand once") }
    try await recordCommitted(outcome, job: jobs.first?.id)
    try await finishJoining(outcome)
    return outcome
  }

  func run(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    let outcome = try await work(jobs, in: session)
    guard jobs.contains(where: { $0.scope.subject == .leave }) else { return jobs.map(outcome.result) }
    var left = outcome
    let leaving = try await leave(&left, in: session)
    return jobs.map { job in
      job.scope.subject == .leave ? leaving.result(of: job) ?? left.result(of: job) : outcome.result(of: job)
    }
  }

  private enum Step {
    case done(RolesOutcome)
    /// Nothing was changed but names, by these statements: these roles are too many to be made in the same transaction.
    case needs([RoleName: ManagedRole.Kind], [String])
  }

  /// Roles that are made in the transaction that grants to them; more have their own.
  private static let rolesWithGrants = 100
  /// Roles that are made, or dropped, in a transaction of their own: each is locked until its end, and so are the
  /// memberships of those that are dropped.
  static let rolesATransaction = 500

  private func locked<Value: Sendable>(
    _ session: PostgresConnection, _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    try await session.transaction(deadline: .after(LaneRun.longestRun)) { session in
      try await LaneLock.take(.roles, in: session)
      return try await body(session)
    }
  }

  /// Makes roles, audiences first: lanes of databases wait for those until they are committed.
  private func make(
    _ roles: [RoleName: ManagedRole.Kind], in session: PostgresConnection
  ) async throws -> TargetRoles.Outcome {
    var all = TargetRoles.Outcome()
    let sorted = roles.sorted { ($0.value == .audience ? 0 : 1, $0.key) < ($1.value == .audience ? 0 : 1, $1.key) }
    let audiences = sorted.prefix { $0.value == .audience }
    for part in [audiences, sorted.dropFirst(audiences.count)] {
      for start in stride(from: part.startIndex, to: part.endIndex, by: Self.rolesATransaction) {
        let chunk = part[start..<min(start + Self.rolesATransaction, part.endIndex)]
        all.add(
          try await locked(session) { session in
            try await TargetRoles(metadata: metadata, connection: connection, session: session)
              .makeMissing(Dictionary(uniqueKeysWithValues: chunk.map { ($0.key, $0.value) }))
          })
      }
    }
    return all
  }

  /// What should be and what is, of the audiences and roles that the jobs name.
  struct Memberships: Sendable {
    /// Audiences compared on all their members.
    var whole: Set<RoleName> = []
    /// Roles of which it is compared whether they are members of the other audiences.
    var grantees: [String] = []
    var desired: [RoleName: Set<RoleName>] = [:]
    var observed: [Membership] = []
    /// Audiences that carry no more than USAGE of a schema or CONNECT to a database.
    var waysIn: Set<RoleName> = []
    /// Members whose names PostgreSQL cannot take, by audience, with the reason.
    var invalid: [RoleName: [String: String]] = [:]

    var diff: MembershipDiff { MembershipDiff(desired: desired, observed: observed) }

    /// Without audiences that are not to be found by their names.
    func apartFrom(_ renamed: some Collection<RoleName>) -> Memberships {
      var others = self
      for role in renamed { others.desired[role] = nil }
      return others
    }
  }

  /// - Parameter made: the roles that were made beforehand
  private func reconcile(
    _ jobs: [ClaimedJob], after made: TargetRoles.Outcome? = nil, in session: PostgresConnection
  ) async throws -> Step {
    let (asOf, names) = try await metadata.read {
      (try await $0.now(), try await JobRoles.of(jobs, connection: connection.id, $0))
    }
    // Before anything is looked for by name.
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    let naming = try await roles.restoreNames()
    let memberships = try await read(jobs, in: session)
    let diff = memberships.diff
    var outcome = RolesOutcome(asOf: asOf, names: names, memberships: memberships, naming: naming)
    if !diff.isEmpty {
      let marks = try await roles.marks(of: diff.roles)
      let missing = diff.rolesToGrantTo.filter { marks[$0.key] == .absent }
      if made == nil, missing.count > Self.rolesWithGrants { return .needs(missing, naming.statements) }
      try await apply(diff, marks, made, &outcome, in: session)
    }
    let retired = jobs.filter { $0.scope.subject == .retirement }.compactMap(\.scope.role)
    try await retire(retired, &outcome, in: session)
    try await recordBeforeCommit(diff, outcome)
    return .done(outcome)
  }

  private func apply(
    _ diff: MembershipDiff, _ marks: RoleMarks, _ madeBefore: TargetRoles.Outcome?, _ outcome: inout RolesOutcome,
    in session: PostgresConnection
  ) async throws {
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    var marks = marks
    let foreign = marks.foreign
    outcome.refuse(diff.audiences.intersection(foreign))
    let version = await session.serverVersion
    var application = MembershipApplication(session: session, serverVersion: version, marks: marks)
    try await application.carryOut(.revoke, diff.revokes.filter { !foreign.contains($0.role) })
    outcome.note(application)
    var made = madeBefore ?? TargetRoles.Outcome()
    made.add(try await roles.make(diff.rolesToGrantTo.filter { made.failures[$0.key] == nil }, marks))
    outcome.note(made)
    marks.note(administered: made.administered)
    application = MembershipApplication(session: session, serverVersion: version, marks: marks)
    try await application.carryOut(.grant, diff.grants.compactMap { $0.without(made.failures) })
    outcome.note(application)
    try await verify(diff, &outcome, in: session)
  }

  /// What `run` would do about the memberships of every audience of the connection.
  func planned(in session: PostgresConnection) async throws -> (statements: [String], made: Set<RoleName>) {
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    let renamed = try await roles.renamed()
    let diff = try await read(nil, in: session).apartFrom(renamed.keys).diff
    var names: [String] = []
    for (role, present) in renamed.sorted(by: { $0.key < $1.key }) {
      names += try await roles.statements(naming: present, role)
    }
    var marks = try await roles.marks(of: diff.roles)
    let foreign = marks.foreign
    let version = await session.serverVersion
    let revokes = try MembershipApplication(session: session, serverVersion: version, marks: marks)
      .render(.revoke, diff.revokes.filter { !foreign.contains($0.role) })
    let (creations, administered) = try await roles.planned(diff.rolesToGrantTo)
    marks.note(administered: administered)
    let grants = try MembershipApplication(session: session, serverVersion: version, marks: marks)
      .render(.grant, diff.grants.filter { !foreign.contains($0.role) })
    return (names + revokes + creations + grants, Set(diff.rolesToGrantTo.keys).union(renamed.keys))
  }

  /// Reads the memberships that jobs are about; nil names every audience of the connection (a plan, leaving).
  func read(_ jobs: [ClaimedJob]?, in session: PostgresConnection) async throws -> Memberships {
    try await read(
      audiences: jobs?.filter { $0.scope.subject == .audience }.compactMap(\.scope.audience) ?? [],
      grantees: jobs?.filter { $0.scope.subject == .grantee }.compactMap(\.scope.role) ?? [],
      everything: jobs?.contains { [.everything, .leave, .sweep].contains($0.scope.subject) } ?? true, in: session)
  }

  /// Reads the memberships in these audiences, or all, and those of the grantees in any.
  func read(
    audiences: [Int64] = [], grantees: [String], everything: Bool = false, in session: PostgresConnection
  ) async throws -> Memberships {
    let rows = try await metadata.read { metadata in
      try await metadata.connection.query(
        statement(PackageResources.desired_members_sql),
        [.int8(connection.id), .int8Array(audiences), .textArray(grantees), .bool(everything)]
      ).rows
    }
    var memberships = Memberships(grantees: grantees)
    for row in rows {
      let audience = try RoleName(try row.text("role"))
      if try row.bool("is_whole") { memberships.whole.insert(audience) }
      if try row.bool("is_way_in") { memberships.waysIn.insert(audience) }
      memberships.desired[audience] = []
      // Of a connection that is being deleted nothing is desired, also where that is only tried (a dry run).
      let members = connection.state == .deleting ? [] : try row.textArray("members")
      for member in members {
        do { memberships.desired[audience, default: []].insert(try RoleName(member)) } catch {
          memberships.invalid[audience, default: [:]][member] = error.message
        }
      }
    }
    let others = Set(memberships.desired.keys).subtracting(memberships.whole)
    memberships.observed =
      try await observed(memberships.whole, in: session) + observed(others, of: grantees, in: session)
    return memberships
  }

  /// The memberships in audiences, of all or of these members, but those of Sluice's own roles.
  private func observed(
    _ audiences: Set<RoleName>, of members: [String]? = nil, in session: PostgresConnection
  ) async throws -> [Membership] {
    guard !audiences.isEmpty, members?.isEmpty != true else { return [] }
    let installation = try await metadata.read { try await $0.installation() }
    let policyRole = try PolicyRole.name(installation: installation, connection: connection.id)
    let isOld = await session.serverVersion < 160_000
    // Planned each time: without knowing whether some members are asked for, the server reads all, which takes ten times
    // as long at 17,000 memberships as with a plan for the one who joins (17.10); a prepared one would come to that.
    let rows = try await session.query(
      statement(isOld ? PackageResources.observed_members_15_sql : PackageResources.observed_members_sql),
      [.textArray(audiences.map(\.value)), .bool(members == nil), .textArray(members ?? [])]
        + (isOld ? [] : [.text(policyRole.value)])
    ).rows
    return try rows.flatMap { row in
      let alike = try Membership(
        role: RoleName(row.text("role")), member: policyRole, grantor: RoleName(row.text("grantor")),
        inherits: row.bool("inherits"), canSet: row.bool("can_set"), isAdmin: row.bool("is_admin"),
        isOurs: row.bool("is_ours"), isRemovable: row.bool("is_removable"))
      return try row.textArray("members").filter { $0 != policyRole.value && $0 != connection.username }
        .map { alike.of(try RoleName($0)) }
    }
  }

  /// Reads back the memberships that were to change, and compares them with what they should be.
  private func verify(
    _ diff: MembershipDiff, _ outcome: inout RolesOutcome, in session: PostgresConnection
  ) async throws {
    let after = try await observed(diff.audiences, of: diff.members.map(\.value), in: session)
    outcome.verify(diff, after: after)
  }

  /// Once everybody who should be a member of an audience was read back as one, its members need no grants of their own.
  private func finishJoining(_ outcome: RolesOutcome) async throws {
    let joining = try await metadata.read { try await $0.joiningAudiences(of: connection.id) }
    guard !joining.isEmpty else { return }
    let pairs = joining.flatMap { role in outcome.joined(role).map { (role: role, member: $0) } }
    try await metadata.transaction {
      try await $0.finishJoining(
        of: connection.id, roles: joining, audiences: pairs.map(\.role), members: pairs.map(\.member))
    }
  }

  /// Audiences are noted when somebody becomes a member; users' roles when something is granted to them directly, or
  /// when Sluice makes them. What is left to those who leave is asked for here, so that a crash after the commit does
  /// not forget it.
  private func recordBeforeCommit(_ diff: MembershipDiff, _ outcome: RolesOutcome) async throws {
    let audiences = Set(diff.grants.map(\.role)).filter { outcome.roleFailures[$0] == nil }
    let roles = audiences.map { ManagedRole(role: $0.value, kind: .audience, made: true) }
    let leavers = connection.state == .deleting ? [] : outcome.leavers(diff)
    guard !roles.isEmpty || !leavers.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.note(roles, of: connection.id)
      try await metadata.submitLooks(for: leavers, on: connection.id)
    }
  }

  /// What is true only once the target has committed: a role whose drop was rolled back must be found again.
  func recordCommitted(_ outcome: RolesOutcome, job: Int64?) async throws {
    guard !outcome.statements.isEmpty || !outcome.dropped.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.noteDropped(outcome.dropped, of: connection.id, asOf: outcome.asOf)
      try await metadata.removeAudiences(roles: outcome.dropped, of: connection.id)
      guard !outcome.statements.isEmpty else { return }
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "apply", connection: connection.name, job: job,
          detail: ["statements": outcome.statementText, "count": "\(outcome.statements.count)"]))
    }
  }
}

extension MembershipDiff {
  /// The roles that have to be there before it can be carried out.
  var rolesToGrantTo: [RoleName: ManagedRole.Kind] {
    var roles: [RoleName: ManagedRole.Kind] = [:]
    for member in grants.flatMap(\.members) { roles[member] = .user }
    for change in grants { roles[change.role] = .audience }
    return roles
  }

  var audiences: Set<RoleName> { Set((revokes + grants).map(\.role)) }

  var members: Set<RoleName> { Set((revokes + grants).flatMap(\.members)) }

  /// Every role whose mark is asked for.
  var roles: Set<RoleName> { audiences.union(rolesToGrantTo.keys) }
}

extension MembershipChange {
  /// What is left of it where roles could not be made; nil for nothing.
  fileprivate func without(_ failures: [RoleName: Failure]) -> MembershipChange? {
    guard failures[role] == nil else { return nil }
    let possible = members.filter { failures[$0] == nil }
    return possible.isEmpty ? nil : MembershipChange(role: role, members: possible)
  }
}
