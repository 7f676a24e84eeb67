import Platform

/// Something obtained for a limited time, such as a token.
struct Fresh<Value: Sendable>: Sendable {
  let value: Value
  let obtained: ContinuousClock.Instant
  let expires: ContinuousClock.Instant
}

/// A value that expires, renewed by one request at a time however many ask for it.
///
/// In the last part of its life (half of it, at most 20 minutes) it is renewed behind the callers' backs; only when
/// it counts as expired do callers wait. Source of the constants: databricks-sdk-py `oauth.py`, databricks-sdk-go
/// `cache.go`.
actor RenewedValue<Value: Sendable> {
  struct Rules: Sendable {
    /// It counts as expired this long before it expires; never more than a quarter of its life.
    var lead: Duration
    var longestStale: Duration = .seconds(20 * 60)
    /// Pause after a renewal failed while the old value was still good.
    var pause: Duration = .seconds(60)
  }

  typealias Outcome = Result<Fresh<Value>, DatabricksError>
  private typealias Answer = Result<(value: Value, generation: Int), DatabricksError>

  private let name: String
  private let rules: Rules
  private let time: WorkspaceTime
  private let renew: @Sendable () async -> Outcome

  private var current: Fresh<Value>?
  /// Counts the values obtained, so that a late complaint about an old one does not throw away a new one.
  private var generation = 0
  private var isRenewing = false
  private var noRenewalBefore: ContinuousClock.Instant?
  private var nextWaiter: UInt64 = 0
  private var waiters: [UInt64: CheckedContinuation<Answer, Never>] = [:]

  init(name: String, rules: Rules, time: WorkspaceTime, renew: @escaping @Sendable () async -> Outcome) {
    self.name = name
    self.rules = rules
    self.time = time
    self.renew = renew
  }

  func value(deadline: Deadline?) async throws(DatabricksError) -> (value: Value, generation: Int) {
    if let current, time.now() < usableUntil(current) {
      if isDue(current) { startRenewal() }
      return (current.value, generation)
    }
    startRenewal()
    return try await wait(until: deadline).get()
  }

  /// Drops the value, unless a newer one than `generation` is there already.
  func forget(generation: Int? = nil) {
    if let generation, generation != self.generation { return }
    current = nil
  }

  /// Drops the value if it is the one that `isRefused` knows.
  func forget(where isRefused: @Sendable (Value) -> Bool) {
    if let current, isRefused(current.value) { self.current = nil }
  }

  private func usableUntil(_ fresh: Fresh<Value>) -> ContinuousClock.Instant {
    let life = fresh.obtained.duration(to: fresh.expires)
    return fresh.expires.advanced(by: .zero - min(rules.lead, life / 4))
  }

  private func isDue(_ fresh: Fresh<Value>) -> Bool {
    let life = fresh.obtained.duration(to: fresh.expires)
    let now = time.now()
    if let noRenewalBefore, now < noRenewalBefore { return false }
    return now >= fresh.expires.advanced(by: .zero - min(life / 2, rules.longestStale))
  }

  private func startRenewal() {
    guard !isRenewing else { return }
    isRenewing = true
    // Outlives the caller that began it, because others wait for it too; `renew` bounds its time.
    Task { self.finish(await renew()) }
  }

  private func finish(_ outcome: Outcome) {
    isRenewing = false
    switch outcome {
    case .success(let fresh):
      current = fresh
      generation += 1
      noRenewalBefore = nil
    case .failure:
      noRenewalBefore = time.now().advanced(by: rules.pause)
    }
    let callers = waiters
    waiters = [:]
    let answer: Answer = outcome.map { ($0.value, generation) }
    for caller in callers.values { caller.resume(returning: answer) }
  }

  private func wait(until deadline: Deadline?) async -> Answer {
    nextWaiter += 1
    let id = nextWaiter
    // Outlives the wait by nothing: cancelled as soon as the wait is over.
    let timer = deadline.map { deadline in
      Task {
        try await Task.sleep(until: deadline.instant, clock: .continuous)
        self.giveUp(id, .timedOut, "no answer within the deadline")
      }
    }
    defer { timer?.cancel() }
    return await withTaskCancellationHandler {
      if Task.isCancelled { return .failure(error(.cancelled, "the caller gave up")) }
      return await withCheckedContinuation { waiters[id] = $0 }
    } onCancel: {
      // The handler is synchronous; the hop to the actor needs a task, which ends at once.
      Task { await self.giveUp(id, .cancelled, "the caller gave up") }
    }
  }

  private func giveUp(_ id: UInt64, _ code: DatabricksError.Code, _ message: String) {
    waiters.removeValue(forKey: id)?.resume(returning: .failure(error(code, message)))
  }

  private func error(_ code: DatabricksError.Code, _ message: String) -> DatabricksError {
    DatabricksError(code: code, operation: name, message: message)
  }
}
