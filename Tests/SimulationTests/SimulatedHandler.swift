import Cluster
import Enforcement
import Metadata
import Platform

/// How the work of the lanes goes.
///
/// `@unchecked`: see `World`.
final class SimulatedWork: @unchecked Sendable {
  /// A workspace whose API answers nothing.
  static let silentWorkspace = "https://silent.example"
  /// How likely an access fails in a way that counts.
  var failing = 0.0
  /// How likely it fails for good, until somebody retries it.
  var hopeless = 0.0
  /// Milliseconds that a number of jobs take.
  var time: (Int) -> Int = { _ in 0 }
  /// Whoever works on it dies of it.
  var deadly: SimulatedLedger.Access?
  /// The session breaks off when it is worked on.
  var breaking: SimulatedLedger.Access?
}

/// What `LaneRun` does, in order: connect, take the lane's lock, only then read the desired state, apply it, commit.
struct SimulatedHandler: BatchHandler {
  let process: SimulatedProcess
  let ledger: SimulatedLedger
  let targets: [Int64: SimulatedTarget]
  let work: SimulatedWork

  private var world: World { process.world }
  private static let lost = TargetError(.soon(after: nil), "the target does not answer", remedy: "")
  private static let cancelled = TargetError(.cancelled, "cancelled", remedy: "")
  /// As the target's `lock_timeout`.
  private static let lockTimeout: Duration = .seconds(5)

  func open(lane: Int64) async throws -> OpenedLane {
    let number = ledger.connection(of: lane)
    guard let target = targets[number] else { preconditionFailure("lane \(lane) has no target") }
    let state = try await ledger.call(
      "connection \(number)", from: process, lost: LedgerLost() as any Error, cancelled: CancellationError()
    ) { ledger.connections[number]?.state }
    let session = try await target.call("connect", from: process, lost: Self.lost, cancelled: Self.cancelled) {
      () throws(TargetError) in try target.connect(lane: lane)
    }
    let forget = process.hold { target.end(session) }
    let late = Late()
    return OpenedLane(
      connection: number, isReportedDown: state == .stopped || state == .unhealthy,
      run: { jobs in
        do { return try await run(jobs, target, session, late) } catch let error as TargetError
          where error.disposition == .soon(after: nil)
        {
          for job in jobs { ledger.breaks[job.id, default: 0] += 1 }
          throw error
        }
      },
      close: {
        late.commit?()
        forget()
        // A farewell that gets lost leaves the session to its timeout.
        if !world.happens(world.faults.lostRequest) { world.after(.milliseconds(1)) { target.end(session) } }
      })
  }

  /// What the mutation that reports before it commits has still to do.
  ///
  /// `@unchecked`: see `World`.
  private final class Late: @unchecked Sendable { var commit: (() -> Void)? }

  private func run(
    _ jobs: [ClaimedJob], _ target: SimulatedTarget, _ session: TargetSession, _ late: Late
  ) async throws -> [JobResult] {
    let early = world.mutation == .readsBeforeLock ? try await read(jobs, session.lane) : nil
    try await lock(target, session)
    var reading = if let early { early } else { try await read(jobs, session.lane) }
    if reading.desired.keys.contains(where: { $0 == work.deadly }) {
      process.kill()
      await Task.yield()
    }
    if reading.desired.keys.contains(where: { $0 == work.breaking }) { target.end(session) }
    let time = work.time(jobs.count)
    if time > 0 { try await process.sleep(for: .milliseconds(time)) }
    // What fails was rolled back to its savepoint.
    let failing = drawFailures(reading.desired.keys.sorted())
    for access in failing.keys { reading.desired[access] = nil }
    let results = jobs.map { result($0, ledger.access(of: $0.scope, in: session.lane).flatMap { failing[$0] }) }
    let (desired, version) = reading
    if world.mutation == .settlesBeforeCommit {
      late.commit = { world.after(.milliseconds(1)) { try? target.commit(desired, readAt: version, in: session) } }
      return results
    }
    try await target.call(
      "commit \(session.lane) \(version)", from: process, lost: Self.lost, cancelled: Self.cancelled
    ) { () throws(TargetError) in
      try target.commit(desired, readAt: version, in: session)
    }
    return results
  }

  private func lock(_ target: SimulatedTarget, _ session: TargetSession) async throws {
    let limit = process.now.advanced(by: Self.lockTimeout)
    while true {
      let isMine = try await target.call(
        "lock \(session.lane)", from: process, lost: Self.lost, cancelled: Self.cancelled
      ) { () throws(TargetError) in try target.lock(session) }
      if isMine { return }
      if process.now > limit { throw TargetError(.locked, "somebody else has the lock", remedy: "") }
      try await process.sleep(for: .milliseconds(500))
    }
  }

  private func read(
    _ jobs: [ClaimedJob], _ lane: Int64
  ) async throws -> (desired: [SimulatedLedger.Access: Bool], version: Int) {
    try await ledger.call(
      "read \(lane)", from: process, lost: LedgerLost() as any Error, cancelled: CancellationError()
    ) {
      let accesses = ledger.accesses(of: jobs, in: lane)
      let desired = accesses.reduce(into: [SimulatedLedger.Access: Bool]()) { $0[$1] = ledger.desired[$1] ?? false }
      return (desired, ledger.version)
    }
  }

  private func drawFailures(_ accesses: [SimulatedLedger.Access]) -> [SimulatedLedger.Access: JobResult.Outcome] {
    accesses.reduce(into: [:]) { failing, access in
      if world.happens(work.failing) { failing[access] = .retryable(.milliseconds(world.draw(0...3000))) }
      if world.happens(work.hopeless) { failing[access] = .discarded }
    }
  }

  private func result(_ job: ClaimedJob, _ failure: JobResult.Outcome?) -> JobResult {
    guard let failure else { return JobResult(id: job.id, outcome: .completed) }
    ledger.wantedFailures[job.id, default: 0] += 1
    let isLast = job.attempt + 1 >= job.maxAttempts
    return JobResult(id: job.id, outcome: isLast ? .discarded : failure, error: "it failed")
  }
}
