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

  func validate() throws {
    if timeout != nil && !wait { throw ValidationError("--timeout is for --wait.") }
  }

  /// Does nothing without `--wait`.
  func wait(for jobs: [Int64], on metadata: MetadataDatabase, _ output: Output) async throws {
    guard wait, !jobs.isEmpty else { return }
    let outcome = try await JobWait(metadata: metadata).run(jobs, timeout: timeout)
    try outcome.present(on: output)
  }
}

/// How a wait ended.
struct WaitOutcome: Sendable {
  let jobs: JobOutcomes
  let hasTimedOut: Bool

  /// Says how it ended, and throws the exit status of what is not a success.
  func present(on output: Output) throws {
    let states = jobs.finished.sorted { $0.key.rawValue < $1.key.rawValue }
    let summary = states.map { "\($0.value) \($0.key.rawValue)" }.joined(separator: ", ")
    output.note(summary.isEmpty ? "no job has finished" : summary)
    if let first = jobs.discarded.first {
      let remedy = first.remedy.map { "; \($0)" } ?? ""
      let count = jobs.finished[.discarded] ?? 1
      throw CommandFailure.refused(
        "\(count) of the jobs discarded; the first, job \(first.id): \(first.error ?? "no reason")\(remedy)")
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

  let metadata: MetadataDatabase

  func run(_ jobs: [Int64], timeout: Duration?) async throws -> WaitOutcome {
    let deadline = timeout.map(Deadline.after)
    let listener = try await PostgresConnection.connect(metadata.configuration)
    do {
      try await listener.listen(try PostgresIdentifier(MetadataSession.outcomeChannel))
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
          return WaitOutcome(jobs: outcomes, hasTimedOut: !outcomes.unfinished.isEmpty)
        }
        open = outcomes.unfinished
      }
      let next = Deadline.after(Self.pollInterval)
      _ = try await listener.notifications(deadline: deadline.map { min($0, next) } ?? next)
      // Announcements come one a job: a short rest gathers those of a batch into one look.
      try await Task.sleep(for: Self.shortestInterval)
    }
  }
}
