import Governance
import Metadata
import Platform
import Postgres

/// How far a run in a database has come, transaction by transaction.
struct DatabaseProgress: Sendable {
  /// Tries of a single relation that loses against somebody else's changes; after them its jobs come again.
  private static let tries = 4
  /// How often the run comes back to relations whose statements lost, as long as they become fewer.
  private static let rounds = 3
  /// After so many relations in a row that could not be done it is not the relations that are to blame.
  private static let maximumGivenUp = 3

  /// Nil until the first transaction has read it.
  private(set) var agenda: Agenda?
  private(set) var pace: ChunkPace
  /// Roles that may keep USAGE or CONNECT without a use for it once all is done.
  private(set) var relieved: [String: ManagedRole.Kind] = [:]
  /// Roles that the metadata database knows to be granted to by this run.
  private(set) var noted: Set<String> = []
  /// What was tried in vain on the window that is not done yet.
  private(set) var refused: Set<Grant> = []
  private(set) var round = 0
  /// How long to wait before the next transaction, in failures in a row; 0 for not at all.
  private(set) var waits = 0
  private(set) var isDone = false
  private(set) var outcomes: [DatabaseOutcome] = []
  /// Relations that were compared.
  private(set) var examined = 0
  /// What the roles of revoke jobs can still do, once that was looked for.
  var residual = ResidualLook()
  /// What became of sessions that were to end, by role.
  var sessions: [String: SessionEnding.Outcome] = [:]
  /// Roles whose sessions do not end yet: the roles lane takes more from them.
  var losing: Set<String> = []
  private var conflicts: Set<UInt32> = []
  private var repeated = 0
  private var failures = 0
  private var givenUp: [UInt32: Failure] = [:]
  private var givenUpInARow = 0

  init(pace: ChunkPace) { self.pace = pace }

  /// A transaction has committed.
  mutating func note(_ chunk: DatabaseRun.Chunk, took: Duration) {
    (failures, waits, givenUpInARow) = (0, 0, 0)
    pace.note(chunk.window.count, took: took)
    outcomes.append(chunk.outcome)
    noted.formUnion(chunk.outcome.receiving)
    if chunk.isWhole { examined += chunk.window.count }
    relieved.merge(chunk.outcome.inputs.rolesToRelieve(chunk.outcome.plan)) { $1 }
    refused = chunk.isWhole ? [] : refused.union(chunk.outcome.failures.keys)
    conflicts.formUnion(chunk.outcome.conflicts)
    var agenda = chunk.agenda
    if chunk.isWhole { agenda.finish(chunk.window) }
    self.agenda = agenda
    if chunk.isWhole { goOn() }
  }

  /// A transaction was rolled back.
  ///
  /// - Throws: The error, if it is about nothing that could be left out.
  mutating func note(_ lost: DatabaseRun.LostChunk) throws {
    let isSlow = (lost.error as? PostgresError)?.isTooSlow ?? false
    agenda = lost.agenda
    failures += 1
    waits = failures
    if lost.window.count > 1 { return pace.noteFailure(of: lost.window.count, isSlow: isSlow) }
    guard isSlow || failures >= Self.tries else { return }
    guard var agenda, !lost.window.isEmpty else { throw lost.error }
    givenUpInARow += 1
    let all = givenUpInARow >= Self.maximumGivenUp ? Set(agenda.left) : lost.window
    for relation in all { givenUp[relation] = Failure(lost: lost.error) }
    agenda.finish(all)
    self.agenda = agenda
    failures = 0
    goOn()
  }

  /// Comes back to what lost once everything else is done.
  private mutating func goOn() {
    guard var agenda, agenda.left.isEmpty else { return }
    guard !conflicts.isEmpty, round < Self.rounds, round == 0 || conflicts.count < repeated else {
      isDone = true
      return
    }
    round += 1
    repeated = conflicts.count
    waits = round
    for index in outcomes.indices { outcomes[index].withdrawConflicts() }
    agenda.repeating(conflicts)
    conflicts = []
    self.agenda = agenda
  }

  /// The audiences of the connection.
  var audiences: [String] { agenda?.managed.filter { $0.value == .audience }.keys.sorted() ?? [] }

  /// Whether somebody is not to have what a job asked for.
  var hasRefused: Bool { outcomes.contains { !$0.inputs.refusedPairs.isEmpty } }

  var residualQuestion: ResidualLook.Question {
    outcomes.reduce(into: .init()) { $0.add($1) }
  }

  var isStale: Bool {
    outcomes.contains { outcome in
      !outcome.missingRelations.isEmpty || outcome.failures.values.contains { $0.kind == .gone }
    }
  }
}

// What it means for the jobs.
extension DatabaseProgress {
  /// At most this many ways of residual access, entries that were verified, notes and warnings are listed with a job.
  private static let listed = 100

  /// The results of the jobs that were decided; the others come again.
  func results(of jobs: [ClaimedJob]) -> [JobResult] {
    guard let agenda else { return [] }
    var prepared = self
    for index in outcomes.indices { prepared.outcomes[index].index(for: jobs) }
    return decided(jobs).map { [prepared] job in
      isPostponed(job)
        ? JobResult(id: job.id, outcome: .snoozed(SessionEnding.poll)) : prepared.result(of: job, agenda)
    }
  }

  /// The jobs that were decided.
  func decided(_ jobs: [ClaimedJob]) -> [ClaimedJob] {
    guard let agenda else { return [] }
    if isDone { return jobs }
    let left = Set(agenda.left)
    return jobs.filter { !isUndecided($0, agenda, left) }
  }

  /// The role whose sessions are to end with a job.
  func endedRole(of job: ClaimedJob) -> String? {
    job.kind == .revoke && job.scope.endsSessions == true ? role(of: job) : nil
  }

  /// The job comes again, uncounted, for the sessions alone.
  func isPostponed(_ job: ClaimedJob) -> Bool { endedRole(of: job).map(losing.contains) ?? false }

  /// The role that a job is about; nil for none, and for more than one.
  func role(of job: ClaimedJob) -> String? { agenda?.names.role(of: job) }

  private func isUndecided(_ job: ClaimedJob, _ agenda: Agenda, _ left: Set<UInt32>) -> Bool {
    switch job.scope.subject {
    case .subscription: relation(of: job, agenda).map(left.contains) ?? false
    // Those of a schema or database end with the last transaction.
    case .securable: relation(of: job, agenda).map(left.contains) ?? isAboutPrerequisites(job)
    default: true
    }
  }

  private func isAboutPrerequisites(_ job: ClaimedJob) -> Bool {
    job.scope.securable.flatMap { outcomes.last?.inputs.places[$0] }.map { $0.family < .table } ?? false
  }

  private func relation(of job: ClaimedJob, _ agenda: Agenda) -> UInt32? {
    job.scope.securable.flatMap { agenda.places[$0]?.oid }
  }

  private func result(of job: ClaimedJob, _ agenda: Agenda) -> JobResult {
    let summary = summary(of: job, agenda)
    let all = outcomes.flatMap { $0.failures(of: job) } + abandoned(job, agenda)
    guard let failure = all.first(where: { $0.kind != .conflict }) ?? all.first else {
      return JobResult(id: job.id, outcome: .completed, result: summary)
    }
    var outcome = JobResult.Outcome.discarded
    if failure.kind == .conflict, job.attempt + 1 < job.maxAttempts {
      outcome = .retryable(LaneRun.retryBackoff.delay(failures: job.attempt + 1))
    }
    return JobResult(
      id: job.id, outcome: outcome, error: failure.message, remedy: failure.remedy, result: summary)
  }

  /// Why relations that the job is about were given up.
  private func abandoned(_ job: ClaimedJob, _ agenda: Agenda) -> [Failure] {
    if givenUp.isEmpty { return [] }
    switch job.scope.subject {
    case .subscription, .securable: return [relation(of: job, agenda).flatMap { givenUp[$0] }].compactMap(\.self)
    default: return givenUp.sorted { $0.key < $1.key }.map(\.value)
    }
  }

  private struct Summary: Encodable {
    var granted = 0
    var revoked = 0
    var notes: [String]?
    var warnings: [String]?
    var verified: Verified?
    var sessions_ended: Int?
    var sessions_left: [String]?
    var residual_access: [ResidualAccess]?
    var residual_access_unlisted: Int?
  }

  private struct Verified: Encodable {
    let entries: Int
    let list: [String]
  }

  private func summary(of job: ClaimedJob, _ agenda: Agenda) -> String {
    var summary = Summary()
    var (verified, texts) = (0, [String]())
    for outcome in outcomes {
      let work = outcome.work(of: job, listed: Self.listed - texts.count)
      summary.granted += work.granted
      summary.revoked += work.revoked
      verified += work.verified
      texts += work.texts
    }
    let residual = residual.routes(of: job, role: agenda.names.role(of: job))
    let gaps = job.kind == .revoke ? self.residual.gaps : []
    let notes = gaps + Set(outcomes.flatMap { $0.notes(of: job) }).sorted()
    let warnings = Set(outcomes.flatMap { $0.warnings(of: job) }).sorted()
    if job.scope.endsSessions == true {
      let sessions = role(of: job).flatMap { self.sessions[$0] }
      summary.sessions_ended = sessions?.ended ?? 0
      summary.sessions_left = sessions?.left.isEmpty == false ? sessions?.left : nil
    }
    if !notes.isEmpty { summary.notes = Array(notes.prefix(Self.listed)) }
    if !warnings.isEmpty { summary.warnings = Array(warnings.prefix(Self.listed)) }
    if verified > 0 { summary.verified = Verified(entries: verified, list: texts) }
    if !residual.isEmpty { summary.residual_access = Array(residual.prefix(Self.listed)) }
    if residual.count > Self.listed { summary.residual_access_unlisted = residual.count - Self.listed }
    return ResultText.json(summary)
  }
}
