import ArgumentParser
import Metadata
import Platform

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
    _ sentence: String, _ record: OutputRecord, jobs: [Int64], on metadata: MetadataDatabase, _ settings: Settings,
    _ output: Output
  ) async throws {
    guard wait else { return try output.done(sentence, record) }
    output.note("\(sentence); waiting")
    let whereabouts = JobWhereabouts(settings: settings, metadata: metadata)
    let outcome = try await JobWait(whereabouts: whereabouts, output: output).run(jobs, timeout: timeout)
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
  /// Why the first of those that have not finished has not.
  let why: String?

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
      let count = jobs.finished[.discarded] ?? 1
      let words =
        count == 1 ? "job \(first.id) was discarded" : "\(count) jobs were discarded, the first is \(first.id)"
      // Of those that are told the answer has the reason already.
      let untold = told.contains { $0.id == first.id } ? nil : [first.error, first.remedy].compactMap(\.self)
      let reason = untold?.joined(separator: "; ") ?? "the answer says why"
      throw CommandFailure.refused("\(words): \(reason); see: sluice job show \(first.id)")
    }
    if hasTimedOut {
      let example = jobs.unfinished.first.map { "\($0)" } ?? "ID"
      let reason = why.map { "; job \(example): \($0)" } ?? ""
      throw CommandFailure(
        .timedOut,
        "time is up: \(Counted.text(jobs.unfinished.count, "job has", "jobs have")) not finished\(reason); see: "
          + "sluice job show \(example)")
    }
  }
}
