import Governance
import Metadata
import Metrics
import Platform
import Postgres

/// Runs subscribe and revoke jobs of a database lane, hundreds of relations in a transaction: lock, read the desired
/// state, read the catalog, apply the difference, read the catalog back, commit.
struct DatabaseRun: Sendable {
  let metadata: MetadataDatabase
  let connection: Connection
  let database: Int64
  let worker: String
  var limits = TargetLimits()
  /// Of everything, what has changed in the target; nil for all of it.
  var changed: Set<UInt32>?

  /// Between the tries of what lost against somebody else's changes. The lane is held meanwhile, but not its lock.
  private static let pause = Backoff(base: .milliseconds(20), cap: .milliseconds(500))

  func run(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    var progress = try await work(jobs, in: session)
    try await endSessions(progress.decided(jobs), &progress, in: session)
    progress.residual = try await lookForResidual(
      jobs.filter { [progress] in !progress.isPostponed($0) }, progress, in: session)
    return progress.results(of: jobs)
  }

  func work(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> DatabaseProgress {
    var progress = DatabaseProgress(
      pace: ChunkPace(target: limits.transactionTime, serverVersion: await session.serverVersion))
    let limit = Deadline.after(LaneRun.longestRun)
    while !progress.isDone, !limit.hasPassed {
      let began = ContinuousClock.now
      switch try await attempt(jobs, progress, in: session) {
      case .success(let chunk):
        let took = began.duration(to: .now)
        count("committed", took)
        progress.note(chunk, took: took)
        try await recordCommitted(chunk.outcome, jobs)
      case .failure(let lost):
        count("repeated", began.duration(to: .now))
        try progress.note(lost)
      }
      if progress.waits > 0 { try await Task.sleep(for: Self.pause.delay(failures: progress.waits)) }
    }
    try await followUp(jobs, progress)
    return progress
  }

  private func count(_ outcome: String, _ took: Duration) {
    Counter(label: MetricName.targetTransactions, dimensions: [("outcome", outcome)]).increment()
    Metrics.Timer(label: MetricName.targetTransactionSeconds).recordNanoseconds(
      Int64(took.inSeconds * 1e9))
  }

  /// What a transaction was about, and what came of it.
  struct Chunk: Sendable {
    let agenda: Agenda
    let window: Set<UInt32>
    /// False: it was more than one transaction takes, and the rest comes in the next.
    let isWhole: Bool
    let outcome: DatabaseOutcome
  }

  /// A transaction that was rolled back, and may be worth another try.
  struct LostChunk: Error {
    let agenda: Agenda
    let window: Set<UInt32>
    let error: any Error
  }

  private func attempt(
    _ jobs: [ClaimedJob], _ progress: DatabaseProgress, in session: PostgresConnection
  ) async throws -> Result<Chunk, LostChunk> {
    do {
      return .success(
        try await session.transaction(deadline: .after(limits.longestTransaction)) { session in
          try await LaneLock.take(.database, in: session)
          // Before anything is looked for by name.
          let naming = try await TargetRoles(metadata: metadata, connection: connection, session: session)
            .restoreNames()
          var agenda = progress.agenda
          if agenda == nil { agenda = try await self.agenda(of: jobs, in: session) }
          guard let agenda else { preconditionFailure("it was read just now") }
          let window = agenda.window(progress.pace.limit)
          do { return try await reconcile(window, agenda, naming, progress, in: session) } catch {
            throw LostChunk(agenda: agenda, window: window, error: error)
          }
        })
    } catch let lost as LostChunk {
      guard await session.isUsable, isWorthAnotherTry(lost.error, session) else { throw lost.error }
      return .failure(lost)
    }
  }

  private func isWorthAnotherTry(_ error: any Error, _ session: PostgresConnection) -> Bool {
    if error is MovedNames || error is Unverified { return true }
    guard let error = error as? PostgresError, error.endpoint == session.configuration.endpoint else { return false }
    return error.isConflict || error.isTooSlow || SQLState.Class.insufficientResources ~= error.sqlState
  }

  private func reconcile(
    _ window: Set<UInt32>, _ agenda: Agenda, _ naming: TargetRoles.Naming, _ progress: DatabaseProgress,
    in session: PostgresConnection
  ) async throws -> Chunk {
    if progress.round > 0 { try await Application.loosePatience(in: session) }
    let inputs = try await read(window, of: agenda, in: session)
    let all = GrantPlan.diff(inputs, apartFrom: progress.refused)
    let plan = all.limited(roles: inputs.roles.count, locksTables: progress.pace.locksTables)
    let isWhole = plan.size == all.size
    var outcome = DatabaseOutcome(inputs: inputs, plan: plan, names: agenda.names, naming: naming)
    var application = Application(session: session, names: inputs.catalog.names)
    try await application.carryOut(.revoke, GrantRectangle.rectangles(covering: plan.revokes).reversed())
    var made = try await grant(plan.grants, &application, &outcome, in: session)
    // The roles lane drops an audience that nothing asks for; something may ask for it again at that moment, and find
    // the role still there when it is looked for and gone when it is granted to.
    let vanished = application.takeVanished()
    if !vanished.isEmpty { made.formUnion(try await grant(vanished, &application, &outcome, in: session)) }
    if isWhole, window.count == agenda.left.count {
      var roles = progress.relieved.merging(inputs.rolesToRelieve(all)) { $1 }
      // Whoever could not be given an entry goes on coming in by the audience.
      if inputs.ways.direct.contains(where: { application.failures[$0] != nil }) {
        for way in inputs.ways.all { roles[way.role.value] = nil }
      }
      // What this transaction revoked is gone already.
      let served = progress.outcomes.reduce(into: inputs.prerequisites) { $0.formUnion($1.inputs.prerequisites) }
      let unused = try await Prerequisites.unused(by: roles, self, agenda, revokes: [], served: served, in: session)
      application.learn(unused.names)
      outcome.take(unused, apartFrom: progress.refused)
      try await application.carryOut(
        .revoke, GrantRectangle.rectangles(covering: outcome.prerequisites.revokes).reversed())
    }
    outcome.note(application)
    try await verify(&outcome, application, in: session)
    try await recordBeforeCommit(outcome, made, after: progress)
    return Chunk(agenda: agenda, window: window, isWhole: isWhole, outcome: outcome)
  }

  /// Makes the roles that are missing, and grants; returns the roles that it made.
  private func grant(
    _ grants: Set<Grant>, _ application: inout Application, _ outcome: inout DatabaseOutcome,
    in session: PostgresConnection
  ) async throws -> Set<String> {
    guard !grants.isEmpty else { return [] }
    let roles = outcome.inputs.rolesToGrantTo(GrantPlan(grants: grants))
    let made = try await TargetRoles(metadata: metadata, connection: connection, session: session)
      .makeMissing(roles)
    outcome.noteRoles(made, for: grants)
    let grantable = made.failures.isEmpty ? grants : grants.filter { made.failures[$0.grantee] == nil }
    try await application.carryOut(.grant, GrantRectangle.rectangles(covering: grantable))
    return made.made
  }

  /// Reads the catalog again: exactly what the statements named is to have changed, under the names that they used.
  private func verify(
    _ outcome: inout DatabaseOutcome, _ application: Application, in session: PostgresConnection
  ) async throws {
    let touched = Set(outcome.plan.grants.union(outcome.plan.revokes).map(\.securable))
    guard !touched.isEmpty else { return }
    let relations = Set(touched.filter { $0.family >= .table }.map(\.oid))
    let schemas = Set(touched.filter { $0.family == .schema }.map(\.oid))
    let facts = try await CatalogFacts.read(relations, schemas: schemas, in: session)
    let moved = touched.filter { facts.names[$0] != application.names[$0] }
      .map { application.names[$0] ?? "\($0)" }
    if !moved.isEmpty { throw MovedNames(names: moved.sorted()) }
    let after = try await ObservedState.read(
      roles: Set(application.done.flatMap(\.rectangle.grantees)), relations: relations, schemas: schemas, in: session)
    outcome.note(
      try Verification(application.done, before: outcome.observed, after: after, application.names), application.names)
  }

  /// What must be known of however the COMMIT ends: a grant that nobody remembers would never be taken back.
  private func recordBeforeCommit(
    _ outcome: DatabaseOutcome, _ made: Set<String>, after progress: DatabaseProgress
  ) async throws {
    let new = outcome.receiving.subtracting(progress.noted).union(made)
    let kinds = new.isEmpty ? [:] : outcome.inputs.roleKinds
    let roles = new.map { ManagedRole(role: $0, kind: kinds[$0] ?? .user, made: made.contains($0)) }
    let given = outcome.given
    guard !roles.isEmpty || !given.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.note(roles, of: connection.id)
      try await metadata.noteGiven(given, of: connection.id)
    }
  }

  /// What is true only once the target has committed: a revoke that was rolled back must find its grants again.
  private func recordCommitted(_ outcome: DatabaseOutcome, _ jobs: [ClaimedJob]) async throws {
    let taken = outcome.taken
    guard !taken.isEmpty || !outcome.statements.isEmpty else { return }
    try await metadata.transaction { metadata in
      try await metadata.forgetTaken(taken, of: connection.id, asOf: outcome.inputs.remembered.asOf)
      guard !outcome.statements.isEmpty else { return }
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "apply", connection: connection.name, job: jobs.first?.id,
          detail: [
            "statements": outcome.statementText, "count": "\(outcome.statements.count)",
            "verified": "\(outcome.verifiedCount)",
          ]))
    }
  }

  /// Submits what the run found out to be needed: a sync where relations are gone, the retirement of audiences that
  /// nothing asks for any more.
  private func followUp(_ jobs: [ClaimedJob], _ progress: DatabaseProgress) async throws {
    let audiences = jobs.filter { $0.scope.subject == .audience }.compactMap(\.scope.audience)
    let isLeaving = jobs.contains { $0.scope.subject == .leave }
    let emptied = progress.relieved.filter { $0.value == .audience }.map(\.key)
    guard progress.isDone, !audiences.isEmpty || !emptied.isEmpty || progress.isStale || isLeaving else { return }
    try await metadata.transaction { metadata in
      var requests: [JobRequest] = []
      let roles = try await metadata.lane(.roles, of: connection.id).id
      let obsolete = try await metadata.obsoleteAudiences(
        of: connection.id, among: audiences, roles: emptied)
      for role in obsolete {
        requests.append(JobRequest(lane: roles, kind: .revoke, jobClass: .bulk, scope: .retirement(role)))
      }
      if progress.isStale {
        let lane = try await metadata.lane(ofDatabase: database).id
        requests.append(JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .database(database)))
      }
      if isLeaving { requests.append(JobRequest(lane: roles, kind: .revoke, jobClass: .revoke, scope: .leave)) }
      _ = try await metadata.submit(requests)
    }
  }
}

/// Securables were renamed, moved or dropped while statements named them.
struct MovedNames: Error, CustomStringConvertible {
  let names: [String]

  var description: String {
    let others = names.count > 1 ? " and \(names.count - 1) others were" : " was"
    return "\(names.first ?? "")\(others) renamed or dropped again and again while it was granted on"
  }
}

extension MetadataSession {
  /// Roles of those of the audiences that do without one, or have neither members nor data sources left.
  ///
  /// - Parameters:
  ///   - ids: of these audiences
  ///   - roles: of those that have these roles
  func obsoleteAudiences(of connectionID: Int64, among ids: [Int64] = [], roles: [String]) async throws -> [String] {
    try await obsolete(connectionID, "(id = any ($2) or role = any ($3))", [.int8Array(ids), .textArray(roles)])
  }

  /// The roles of all such audiences.
  func obsoleteRoles(of connectionID: Int64) async throws -> [ManagedRole] {
    try await obsolete(connectionID, "true", []).map { ManagedRole(role: $0, kind: .audience, made: true) }
  }

  private func obsolete(_ connectionID: Int64, _ among: String, _ parameters: [PostgresValue]) async throws -> [String]
  {
    try await connection.query(
      """
      select role from audience a
      where connection_id = $1 and \(among)
        and (form in ('direct', 'unplaced')
          or not exists (select from audience_member where audience_id = a.id)
            and not exists (select from audience_securable where audience_id = a.id))
      order by role
      """, [.int8(connectionID)] + parameters
    ).rows.map { try $0.text("role") }
  }
}
