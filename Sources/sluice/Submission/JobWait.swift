import Metadata
import Platform
import Postgres

/// Waits on the ledger: woken by its announcements, made certain by a slow poll.
struct JobWait {
  /// Between two looks at the ledger when no announcement comes.
  private static let pollInterval: Duration = .seconds(1)
  /// Between two looks when they come thick and fast.
  private static let shortestInterval: Duration = .milliseconds(100)
  /// Between two tries to reach a metadata database that does not answer.
  private static let outageBackoff = Backoff(base: .milliseconds(200), cap: .seconds(5))
  /// Jobs whose end is told one by one; of more, only how many ended how.
  private static let toldLimit = 100

  let whereabouts: JobWhereabouts
  /// Told meanwhile what the jobs wait for.
  let output: Output

  private var metadata: MetadataDatabase { whereabouts.metadata }

  func run(_ jobs: [Int64], timeout: Duration?) async throws -> WaitOutcome {
    let deadline = timeout.map(Deadline.after)
    var failures = 0
    LastWords.set("the wait is over, the jobs are not: \(goesOn(jobs))")
    defer { LastWords.unset() }
    while true {
      do { return try await listen(jobs, deadline) } catch  where MetadataDatabase.isOutage(error) {
        // A restart or a failover is over in a moment, and the jobs do not depend on who waits for them.
        let words = "the metadata database does not answer: \(Ending.message(of: error))"
        if deadline?.hasPassed == true {
          throw CommandFailure(.unreachable, "time is up, and \(words); \(goesOn(jobs))")
        }
        failures += 1
        if failures == 1 { Output.standardError("\(words); \(goesOn(jobs)); trying again\n") }
        let pause = Self.outageBackoff.delay(failures: failures)
        try await Task.sleep(for: deadline.map { min(pause, $0.remaining) } ?? pause)
      }
    }
  }

  /// What becomes of the jobs when nobody waits any more.
  private func goesOn(_ jobs: [Int64]) -> String {
    let first = jobs.first.map { "\($0)" } ?? "ID"
    return jobs.count == 1
      ? "job \(first) was submitted and goes on; wait again with: sluice job wait \(first)"
      : "the \(jobs.count) jobs were submitted and go on; wait for the first with: sluice job wait \(first)"
  }

  private func listen(_ jobs: [Int64], _ deadline: Deadline?) async throws -> WaitOutcome {
    let listener = try await PostgresConnection.connect(metadata.configuration)
    do {
      try await MetadataSession(connection: listener).listenToOutcomes()
      let outcome = try await watch(jobs, deadline, listener)
      await listener.close()
      return outcome
    } catch {
      await listener.close()
      throw error
    }
  }

  private func watch(
    _ jobs: [Int64], _ deadline: Deadline?, _ listener: PostgresConnection
  ) async throws -> WaitOutcome {
    var progress = WaitProgress(whereabouts: whereabouts, total: jobs.count, output: output)
    // Those still open of the jobs themselves; families are looked at only once these have finished.
    var open = jobs
    while true {
      open = try await metadata.read { [open] in try await $0.unfinished(of: open) }
      let hasTimedOut = deadline?.hasPassed ?? false
      if open.isEmpty || hasTimedOut {
        let outcomes = try await metadata.read { try await $0.outcomes(of: jobs) }
        if outcomes.unfinished.isEmpty || hasTimedOut {
          return try await outcome(of: jobs, outcomes)
        }
        open = outcomes.unfinished
      }
      try await progress.note(open)
      let next = Deadline.after(Self.pollInterval)
      _ = try await listener.notifications(deadline: deadline.map { min($0, next) } ?? next)
      // Announcements come one a batch: a short rest gathers those of a batch into one look.
      try await Task.sleep(for: Self.shortestInterval)
    }
  }

  private func outcome(of jobs: [Int64], _ outcomes: JobOutcomes) async throws -> WaitOutcome {
    var why: String?
    if let open = outcomes.unfinished.first { why = try await whereabouts.briefly(of: open)?.text }
    let reason = why
    return try await metadata.read { session in
      var told: [Job] = []
      for id in jobs.prefix(Self.toldLimit) { told.append(try await session.job(id: id)) }
      let names = try await session.scopeNames(of: told + outcomes.discarded)
      return WaitOutcome(
        jobs: outcomes, told: told, names: names, hasTimedOut: !outcomes.unfinished.isEmpty, why: reason)
    }
  }
}

/// Tells, while somebody waits, how many jobs have finished and what the first of the others waits for: whenever that
/// changes, but not in every moment.
struct WaitProgress {
  private static let interval: Duration = .seconds(3)

  let whereabouts: JobWhereabouts
  let total: Int
  let output: Output
  private var told: [String] = []
  private var next = Deadline.after(Self.interval)

  init(whereabouts: JobWhereabouts, total: Int, output: Output) {
    (self.whereabouts, self.total, self.output) = (whereabouts, total, output)
  }

  /// - Parameter open: the jobs that have not finished.
  mutating func note(_ open: [Int64]) async throws {
    guard next.hasPassed, let first = open.first else { return }
    next = Deadline.after(Self.interval)
    guard let (codes, text) = try await whereabouts.briefly(of: first) else { return }
    // How long something lasts is no change; the children of one job are not counted against it.
    let count = total > 1 ? "\(max(0, total - open.count)) of \(total) jobs have finished; " : ""
    let state = codes + [count]
    guard state != told else { return }
    told = state
    output.note("\(count)job \(first): \(text)")
  }
}
