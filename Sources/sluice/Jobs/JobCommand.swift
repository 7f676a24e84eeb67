import ArgumentParser
import Metadata
import Platform

extension JobState: ExpressibleByArgument {}
extension JobKind: ExpressibleByArgument {}

struct JobCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "job", abstract: "The jobs of the ledger.", discussion: "Example: sluice job list --state retryable",
    subcommands: [JobList.self, JobShow.self, JobWaitCommand.self, JobRetry.self, JobCancel.self])
}

struct JobList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists jobs, newest first.",
    discussion: "Example: sluice job list --state discarded --limit 20")

  @Option(help: "available, scheduled, running, retryable, completed, discarded or cancelled.") var state: JobState?
  @Option(help: .init("Only jobs of this lane: its number, or as listed, such as prod/roles.", valueName: "lane"))
  var lane: String?
  @Option(help: "sync, subscribe, revoke or evaluate.") var kind: JobKind?
  @Option(help: "How many at most.") var limit = 100
  @Option(help: .init("Only those with a smaller number: the next page.", valueName: "id")) var after: Int64?
  @OptionGroup var common: CommonOptions

  /// Jobs that are read at once.
  private static let pageSize = 1000

  func validate() throws {
    if limit < 1 { throw ValidationError("--limit is at least 1.") }
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      var lane: Int64?
      if let name = self.lane { lane = try await metadata.read { try await $0.lane(named: name).lane.id } }
      let filter = MetadataSession.JobFilter(state: state, lane: lane, kind: kind)
      var jobs: [Job] = []
      while jobs.count < limit {
        let (before, size) = (jobs.last?.id ?? after ?? .max, min(Self.pageSize, limit - jobs.count))
        let page = try await metadata.read { session in
          try await session.jobs(filter, before: before, limit: size)
        }
        jobs += page
        if page.count < size { break }
      }
      let found = jobs
      let names = try await metadata.read { try await $0.scopeNames(of: found) }
      try common.output.list(
        jobs.map { $0.record(names) },
        columns: ["id", "kind", "class", "state", "lane", "about", "attempt", "created_at", "error"],
        empty: "there are no such jobs")
      if jobs.count == limit, let last = jobs.last,
        try await metadata.read({ try await !$0.jobs(filter, before: last.id, limit: 1).isEmpty })
      {
        let words = [
          "sluice job list", state.map { "--state \($0.rawValue)" }, self.lane.map { "--lane \($0)" },
          kind.map { "--kind \($0.rawValue)" }, "--limit \(limit)", "--after \(last.id)",
        ]
        common.output.note("for the next page: " + words.compactMap(\.self).joined(separator: " "))
      }
    }
  }
}

struct JobShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows a job with every attempt, and why it is not running.",
    discussion: "Example: sluice job show 17")

  @Argument(help: "The job's number.") var id: Int64
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let (job, attempts, names) = try await metadata.read { session in
        let job = try await session.job(id: id)
        return (job, try await session.attempts(of: id), try await session.scopeNames(of: [job]))
      }
      var record = job.record(names)
      let whereabouts = JobWhereabouts(settings: settings, metadata: metadata)
      let reasons = try await whereabouts.reasons(for: job)
      record.fields += [
        .init(name: "progress", value: .optional(try await whereabouts.progress(of: job))),
        .init(name: "why", value: .optional(JobWhereabouts.text(of: reasons, for: job))),
        .init(name: "waits_for", value: .texts(reasons.map(\.code))),
        .init(name: "attempts", value: .list(attempts.map { .record($0.record) })),
      ]
      try common.output.item(record)
    }
  }
}

struct JobWaitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wait", abstract: "Waits for a job and those it leads to.",
    discussion: "Exit 1 if one of them is discarded, 3 if time is up.\n\nExample: sluice job wait 17 --timeout 60")

  @Argument(help: "The job's number.") var id: Int64
  @Option(
    help: .init("How long at most, in seconds or as 5m.", valueName: "duration"),
    transform: WaitOptions.duration)
  var timeout: Duration?
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      _ = try await metadata.read { try await $0.job(id: id) }
      let whereabouts = JobWhereabouts(settings: settings, metadata: metadata)
      let outcome = try await JobWait(whereabouts: whereabouts, output: common.output).run([id], timeout: timeout)
      try common.output.item(try await metadata.read { try await $0.jobRecord(id: id) })
      try outcome.requireSuccess()
    }
  }
}

struct JobRetry: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Runs a discarded or cancelled job again, as if it were new.",
    discussion: "Example: sluice job retry 17")

  @Argument(help: "The job's number.") var id: Int64
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let job = try await metadata.transaction { session in
        try await session.retryJob(id: id)
        try await session.audit(AuditEntry(actor: Operator.name, action: "job retry", job: id))
        return try await session.jobRecord(id: id)
      }
      try common.output.done("job \(id) is \(job["state"]?.cell ?? "gone")", job)
    }
  }
}

struct JobCancel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel", abstract: "Cancels a job that has not started; what it stood for stays desired.",
    discussion: "Example: sluice job cancel 17")

  @Argument(help: "The job's number.") var id: Int64
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let job = try await metadata.transaction { session in
        try await session.cancelJob(id: id)
        try await session.audit(AuditEntry(actor: Operator.name, action: "job cancel", job: id))
        return try await session.jobRecord(id: id)
      }
      try await takeOut(metadata.read { try await $0.job(id: id) }, settings)
      try common.output.done("job \(id) is \(job["state"]?.cell ?? "gone")", job)
    }
  }

  /// Takes the job out of Redis, where it would keep its place and count until its lane is worked.
  private func takeOut(_ job: Job, _ settings: Settings) async throws {
    guard settings[.redisURL] != nil else { return }
    do { _ = try await settings.withQueue { try await $0.cancel(job.queued) } } catch {
      try Task.checkCancellation()
      Output.standardError(
        "Redis still has job \(id) (\(Ending.message(of: error))); whoever leases it finds it cancelled\n")
    }
  }
}
