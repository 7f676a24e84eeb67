import ArgumentParser
import JobQueue
import Metadata
import Platform

struct QueueStatsCommand: AsyncParsableCommand {
  enum Grouping: String, CaseIterable, ExpressibleByArgument { case lane, kind, connection }

  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "What waits, since when, what is leased, delayed, parked, paused, and what died.",
    discussion: """
      parked counts the waiting jobs of connections and lanes that wait for an instance; dead the discarded jobs; \
      not_enqueued and unfinished are jobs of the ledger. Those three are counted up to 10000. Totals count since Redis \
      was filled last; rates are those of about the last minute. All of it costs the same however many jobs there are.

      --by lane lists lanes with unfinished jobs, dead letters or rules of their own, page by page: with -o jsonl each \
      page is written as it is read.

      If the metadata database cannot be reached, the figures of Redis are told, in all and by kind, before the command \
      fails; the ledger's are empty then.

      Example: sluice queue stats --by lane --limit 100 -o json
      """)

  @Option(help: "lane, kind or connection.") var by: Grouping?
  @Option(help: "With --by lane: how many lanes at most; all without it.") var limit: Int?
  @Option(help: .init("With --by lane: begin after this lane.", valueName: "lane")) var after: String?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if by != .lane && (limit != nil || after != nil) { throw ValidationError("--limit and --after are for --by lane.") }
    if let limit, limit < 1 { throw ValidationError("--limit is at least 1.") }
  }

  func run() async throws {
    let isOfRedis = by == nil || by == .kind
    try await common.settingOptions.withMetadata(requiring: [.redisURL], elseWithout: isOfRedis) { metadata, settings in
      try await settings.withQueue { queue in
        if by == nil { return try common.output.item(await QueueFigures.summary(metadata, queue)) }
        if by == .kind { return try common.output.list(await QueueFigures.kinds(metadata, queue)) }
        guard let metadata else { return }
        let figures = QueueFigures(metadata: metadata, queue: queue)
        if by == .lane { return try await showLanes(figures, metadata) }
        try common.output.list(await figures.connections(), empty: "there are no connections")
      }
    }
  }

  /// Lanes that are read at once.
  private static let pageSize = 1000

  private func showLanes(_ figures: QueueFigures, _ metadata: MetadataDatabase) async throws {
    var last: (connection: String, lane: Int64)?
    if let after {
      last = try await metadata.read { session in
        let lane = try await session.lane(named: after).lane
        return (try await session.connection(id: lane.connection).name, lane.id)
      }
    }
    var (records, shown) = ([OutputRecord](), 0)
    while shown < limit ?? .max {
      let size = min(Self.pageSize, (limit ?? .max) - shown)
      let page = try await figures.lanes(after: last, limit: size)
      // One object a line needs no other: however many there are, a page of them is in memory.
      if common.output.form == .jsonl { try common.output.list(page.records) } else { records += page.records }
      shown += page.records.count
      guard page.records.count == size, let next = page.last else { break }
      last = next
    }
    if common.output.form != .jsonl {
      // Whose pause it is says more than whether there is one.
      let columns = records.first?.fields.map(\.name).filter { $0 != "paused" }
      try common.output.list(
        records, columns: columns, empty: "no lane has unfinished jobs, dead letters or rules of its own")
    }
    if let last, shown == limit, try await !figures.lanes(after: last, limit: 1).records.isEmpty {
      common.output.note("for the next page: sluice queue stats --by lane --limit \(shown) --after \(last.lane)")
    }
  }
}
