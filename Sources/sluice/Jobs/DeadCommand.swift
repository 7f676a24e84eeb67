import ArgumentParser
import Metadata

struct DeadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dead", abstract: "The dead letters: jobs that were discarded, until somebody decides.",
    discussion: "Example: sluice dead list --lane prod/roles",
    subcommands: [DeadList.self, DeadRetry.self, DeadDiscard.self])
}

struct DeadList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists dead letters, oldest first: what failed, why, and what to do about it.",
    discussion: "Example: sluice dead list -o jsonl --limit 100000")

  @Option(help: .init("Only those of this lane: its number, or as listed, such as prod/roles.", valueName: "lane"))
  var lane: String?
  @Option(help: "How many at most.") var limit = 100
  @Option(help: .init("Only those with a greater number: the next page.", valueName: "id")) var after: Int64 = 0
  @OptionGroup var common: CommonOptions

  /// Dead letters that are read at once.
  private static let pageSize = 1000
  private static let columns = ["id", "kind", "lane", "about", "error", "remedy", "finished_at"]

  func validate() throws {
    if limit < 1 { throw ValidationError("--limit is at least 1.") }
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      var lane: Int64?
      if let name = self.lane { lane = try await metadata.read { try await $0.lane(named: name).lane.id } }
      var (shown, last) = (0, after)
      var records: [OutputRecord] = []
      while shown < limit {
        let (laneID, start, size) = (lane, last, min(Self.pageSize, limit - shown))
        let page = try await metadata.read { session in
          let jobs = try await session.deadLetters(lane: laneID, after: start, limit: size)
          let names = try await session.scopeNames(of: jobs)
          return jobs.map { $0.record(names) }
        }
        // One object a line needs no other: however many there are, a page of them is in memory.
        if common.output.form == .jsonl { try common.output.list(page) } else { records += page }
        shown += page.count
        if case .integer(let id)? = page.last?["id"] { last = id }
        if page.count < size { break }
      }
      if common.output.form != .jsonl {
        try common.output.list(records, columns: Self.columns, empty: "there are no dead letters")
      }
      let (laneID, end) = (lane, last)
      if shown == limit,
        try await metadata.read({ try await !$0.deadLetters(lane: laneID, after: end, limit: 1).isEmpty })
      {
        let place = self.lane.map { " --lane \($0)" } ?? ""
        common.output.note("for the next page: sluice dead list\(place) --limit \(limit) --after \(last)")
      }
    }
  }
}

struct DeadRetry: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Runs dead letters again, as if they were new.",
    discussion: """
      What waits already as another job is not done twice: it runs as that one.

      Example: sluice dead retry --all --lane prod/roles
      """)

  @Argument(help: "The job's number.") var id: Int64?
  @Flag(help: "All of them.") var all = false
  @Option(help: .init("With --all, only those of this lane.", valueName: "lane")) var lane: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if (id == nil) != all { throw ValidationError("Give the number of a job, or --all.") }
    if lane != nil && !all { throw ValidationError("--lane is for --all.") }
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      if let id { return try await retry(id, metadata) }
      let (count, merged) = try await retryAll(metadata)
      let others = merged == 0 ? "" : "; \(merged) of them as jobs that wait already"
      try common.output.done(
        count == 1 ? "1 dead letter runs again\(others)" : "\(count) dead letters run again\(others)",
        ["retried": .count(count), "merged": .count(merged)])
    }
  }

  private func retry(_ id: Int64, _ metadata: MetadataDatabase) async throws {
    let (job, retried) = try await metadata.transaction { session in
      let job = try await session.job(id: id)
      guard job.state == .discarded else {
        throw MetadataError(.refused, "job \(id) is \(job.state.rawValue), no dead letter; see: sluice dead list")
      }
      let retried = try await session.retryJob(id: id)
      try await session.audit(AuditEntry(actor: Operator.name, action: "dead retry", job: id))
      return (try await session.jobRecord(id: id), retried)
    }
    let words = retried.runsAs == id ? "job \(id) runs again" : "job \(id) runs again as job \(retried.runsAs)"
    var told = job
    told.fields.append(.init(name: "runs_as", value: .integer(retried.runsAs)))
    try common.output.done(words, told)
  }

  /// In transactions of a bounded number each; those that die meanwhile are not tried twice.
  private func retryAll(_ metadata: MetadataDatabase) async throws -> (count: Int, merged: Int) {
    var lane: Int64?
    if let name = self.lane { lane = try await metadata.read { try await $0.lane(named: name).lane.id } }
    let laneID = lane
    var (count, merged, last) = (0, 0, Int64(0))
    while true {
      let start = last
      let page = try await metadata.transaction { session in
        let page = try await session.retryDeadLetters(lane: laneID, after: start)
        try await session.audit(
          page.map { AuditEntry(actor: Operator.name, action: "dead retry", job: $0.id) })
        return page
      }
      count += page.count
      merged += page.count { $0.runsAs != $0.id }
      guard page.count == MetadataSession.retryLimit, let next = page.last?.id else { return (count, merged) }
      last = next
    }
  }
}

struct DeadDiscard: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discard", abstract: "Puts dead letters aside: they do not run, and go as other finished jobs do.",
    discussion: "Example: sluice dead discard 17 --reason 'the table is gone'")

  @Argument(help: "The job's number.") var id: Int64?
  @Flag(help: "All of them.") var all = false
  @Option(help: .init("With --all, only those of this lane.", valueName: "lane")) var lane: String?
  @Option(help: .init("Why; kept in the audit trail and with the job.", valueName: "text")) var reason: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if (id == nil) != all { throw ValidationError("Give the number of a job, or --all.") }
    if lane != nil && !all { throw ValidationError("--lane is for --all.") }
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      guard let id else { return try await discardAll(metadata) }
      let job = try await metadata.transaction { session in
        try await session.discardDeadLetter(id: id, actor: Operator.name, reason: reason)
        return try await session.jobRecord(id: id)
      }
      try common.output.done("job \(id) is put aside", job)
    }
  }

  /// In transactions of a bounded number each; what somebody else retries or discards meanwhile is his.
  private func discardAll(_ metadata: MetadataDatabase) async throws {
    var lane: Int64?
    if let name = self.lane { lane = try await metadata.read { try await $0.lane(named: name).lane.id } }
    let (laneID, reason) = (lane, self.reason)
    var (count, last) = (0, Int64(0))
    while true {
      let start = last
      let (page, done) = try await metadata.transaction { session in
        let page = try await session.deadLetters(lane: laneID, after: start, limit: MetadataSession.retryLimit)
        var done = 0
        for job in page {
          do {
            try await session.discardDeadLetter(id: job.id, actor: Operator.name, reason: reason)
            done += 1
          } catch let error as MetadataError where error.code == .refused || error.code == .notFound { continue }
        }
        return (page, done)
      }
      count += done
      guard page.count == MetadataSession.retryLimit, let next = page.last?.id else { break }
      last = next
    }
    try common.output.done(
      Counted.text(count, "dead letter is", "dead letters are") + " put aside", ["discarded": .count(count)])
  }
}
