import ArgumentParser
import Metadata
import Platform
import Postgres

/// Waiting for the outcome of jobs and of all that they submit.
struct WaitOptions: ParsableArguments {
  @Flag(help: "Wait for the outcome of the jobs and of those they lead to: exit 1 if one is discarded, 3 on timeout.")
  var wait = false
  @Option(
    help: .init("How long to wait, in seconds or as 5m; without it as long as it takes.", valueName: "duration"),
    transform: WaitOptions.duration)
  var timeout: Duration?

  static func duration(_ text: String) throws -> Duration {
    guard let duration = DurationText.parse(text) else {
      throw ValidationError("\"\(text)\" is not a duration; write it as 30, 30s or 5m.")
    }
    return duration
  }

  /// For commands that wait for nothing else.
  func requireWait() throws {
    if timeout != nil && !wait { throw ValidationError("--timeout is for --wait.") }
  }

  /// Tells what was submitted; with `--wait`, only after it has finished, together with how.
  ///
  /// - Throws: the exit status of an outcome that is not a success, after telling it.
  func conclude(
    _ sentence: String, _ record: OutputRecord, jobs: [Int64], on metadata: MetadataDatabase, _ output: Output
  ) async throws {
    guard wait else { return try output.done(sentence, record) }
    output.note("\(sentence); waiting")
    let outcome = try await JobWait(metadata: metadata).run(jobs, timeout: timeout)
    var told = record
    told.fields += outcome.record(of: jobs).fields
    try output.done(([outcome.summary] + outcome.lines).joined(separator: "\n"), told)
    try outcome.requireSuccess()
  }
}

/// How a wait ended.
struct WaitOutcome: Sendable {
  let jobs: JobOutcomes
  /// Those that were waited for, as many as are told, with the names in them.
  let told: [Job]
  let names: ScopeNames
  let hasTimedOut: Bool

  var summary: String {
    let states = jobs.finished.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) \($0.key.rawValue)" }
    let open = jobs.unfinished.isEmpty ? [] : ["\(jobs.unfinished.count) unfinished"]
    return states.isEmpty && open.isEmpty ? "nothing to do" : (states + open).joined(separator: ", ")
  }

  /// A line a job; those that were discarded on the way are told too.
  var lines: [String] {
    let known = Set(told.map(\.id))
    return (told + jobs.discarded.filter { !known.contains($0.id) }).map {
      OutputValue.text($0.outcomeLine(names)).cell
    }
  }

  /// The jobs and all that they led to; of a single job its own end stands beside that.
  func record(of submitted: [Int64]) -> OutputRecord {
    var record: OutputRecord = [
      "completed": .count(jobs.finished[.completed] ?? 0), "discarded": .count(jobs.finished[.discarded] ?? 0),
      "cancelled": .count(jobs.finished[.cancelled] ?? 0), "unfinished": .count(jobs.unfinished.count),
      "timed_out": .bool(hasTimedOut), "failures": .list(jobs.discarded.map { .record(Self.end(of: $0)) }),
    ]
    if submitted.count == 1, let job = told.first {
      record.fields += Self.end(of: job).fields.dropFirst()
    } else {
      record.fields.append(.init(name: "jobs", value: .list(told.map { .record(Self.end(of: $0)) })))
    }
    return record
  }

  private static func end(of job: Job) -> OutputRecord {
    [
      "job": .integer(job.id), "state": .text(job.state.rawValue), "error": .optional(job.error),
      "remedy": .optional(job.remedy), "result": .parsed(json: job.result),
    ]
  }

  /// Throws the exit status of what is not a success.
  func requireSuccess() throws {
    if let first = jobs.discarded.first {
      let remedy = first.remedy.map { "; \($0)" } ?? ""
      let count = jobs.finished[.discarded] ?? 1
      let words = count == 1 ? "job \(first.id) was discarded" : "\(count) jobs were discarded; the first, \(first.id)"
      throw CommandFailure.refused("\(words): \(first.error ?? "no reason")\(remedy)")
    }
    if hasTimedOut {
      let example = jobs.unfinished.first.map { "\($0)" } ?? "ID"
      throw CommandFailure(
        .timedOut,
        "time is up: \(jobs.unfinished.count) jobs have not finished; see why with: sluice job show \(example)")
    }
  }
}

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

  let metadata: MetadataDatabase

  func run(_ jobs: [Int64], timeout: Duration?) async throws -> WaitOutcome {
    let deadline = timeout.map(Deadline.after)
    var failures = 0
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
      let next = Deadline.after(Self.pollInterval)
      _ = try await listener.notifications(deadline: deadline.map { min($0, next) } ?? next)
      // Announcements come one a batch: a short rest gathers those of a batch into one look.
      try await Task.sleep(for: Self.shortestInterval)
    }
  }

  private func outcome(of jobs: [Int64], _ outcomes: JobOutcomes) async throws -> WaitOutcome {
    try await metadata.read { session in
      var told: [Job] = []
      for id in jobs.prefix(Self.toldLimit) { told.append(try await session.job(id: id)) }
      let names = try await session.scopeNames(of: told + outcomes.discarded)
      return WaitOutcome(jobs: outcomes, told: told, names: names, hasTimedOut: !outcomes.unfinished.isEmpty)
    }
  }
}
