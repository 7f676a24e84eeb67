import ArgumentParser
import JobQueue
import Metadata
import Platform

struct QueueStatsCommand: AsyncParsableCommand {
  enum Grouping: String, CaseIterable, ExpressibleByArgument { case lane, kind, connection }

  static let configuration = CommandConfiguration(
    commandName: "stats", abstract: "What waits, since when, what is leased, delayed, parked, and what died.",
    discussion: """
      parked counts the waiting jobs of connections whose instance is stopped or unhealthy; dead the discarded jobs. \
      The totals count since Redis was filled last. All of it costs the same however many jobs wait, but --by kind \
      reads every unfinished job.

      Example: sluice queue stats --by lane -o json
      """)

  @Option(help: "lane, kind or connection.") var by: Grouping?
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata(requiring: [.redisURL]) { metadata, settings in
      if by == .kind { return try await showKinds(metadata) }
      let stats = try await settings.withQueue { try await $0.stats() }
      let backlog = try await metadata.read { try await $0.backlog() }
      switch by {
      case .lane: try common.output.list(lanes(stats, backlog), empty: "no lane has unfinished jobs")
      case .connection:
        let known = try await metadata.read { try await $0.connections() }
        try common.output.list(connections(stats, backlog, known), empty: "there are no connections")
      case .kind, nil:
        let dead = try await metadata.read { try await $0.deadLetterCount().count }
        try common.output.item(summary(stats, backlog, dead: dead))
      }
    }
  }

  private func showKinds(_ metadata: MetadataDatabase) async throws {
    let kinds = try await metadata.read { try await $0.unfinishedByKind() }
    try common.output.list(
      kinds.map { ["kind": .text($0.kind.rawValue), "state": .text($0.state.rawValue), "jobs": .count($0.count)] },
      empty: "all jobs have finished")
  }

  private func summary(_ stats: QueueStats, _ backlog: [LaneBacklog], dead: Int) -> OutputRecord {
    func waiting(_ rank: Int) -> OutputValue {
      .count(stats.waiting.first { $0.key.rawValue == rank }?.value ?? 0)
    }
    return [
      "waiting": .count(stats.waitingTotal), "waiting_revoke": waiting(0), "waiting_interactive": waiting(1),
      "waiting_bulk": waiting(2), "oldest_age": .optional(backlog.map(\.oldestAge).max()),
      "leased": .count(stats.leased), "delayed": .count(stats.delayed), "parked": .count(stats.parked),
      "parked_connections": .count(stats.phases.count), "paused": .bool(stats.isPaused), "dead": .count(dead),
      "lanes": .count(stats.laneCount), "completed": .count(stats.totals.completed),
      "discarded": .count(stats.totals.discarded), "cancelled": .count(stats.totals.cancelled),
      "retried": .count(stats.totals.retried), "returned": .count(stats.totals.returned),
      "reaped": .count(stats.totals.reaped), "stale": .count(stats.totals.stale), "epoch": .integer(stats.epoch),
    ]
  }

  private func lanes(_ stats: QueueStats, _ backlog: [LaneBacklog]) -> [OutputRecord] {
    let depths = Dictionary(stats.lanes.map { ($0.lane.lane, $0.waiting) }, uniquingKeysWith: +)
    let leases = Dictionary(stats.leases.map { ($0.lane.lane, $0) }, uniquingKeysWith: { first, _ in first })
    let paused = Set(stats.pausedLanes.map(\.lane))
    return backlog.map { lane in
      [
        "lane": .text(lane.name), "lane_id": .integer(lane.lane),
        "waiting": .count(depths[lane.lane] ?? 0), "leased": .count(leases[lane.lane]?.jobs ?? 0),
        "worker": .optional(leases[lane.lane]?.worker), "oldest_age": .duration(lane.oldestAge),
        "paused": .bool(stats.isPaused || paused.contains(lane.lane)),
      ]
    }
  }

  private func connections(
    _ stats: QueueStats, _ backlog: [LaneBacklog], _ known: [Connection]
  ) -> [OutputRecord] {
    known.map { target in
      let waiting = stats.waitingByConnection[target.id] ?? 0
      let phase = stats.phases[target.id]
      return [
        "connection": .text(target.name), "state": .text(target.state.rawValue), "waiting": .count(waiting),
        "parked": .count(phase == nil ? 0 : waiting), "phase": .text(phase.map(Self.word) ?? "open"),
        "oldest_age": .optional(backlog.filter { $0.connection == target.name }.map(\.oldestAge).max()),
      ]
    }
  }

  private static func word(_ phase: ConnectionPhase) -> String {
    switch phase {
    case .parked: "parked"
    case .halfOpen: "half-open"
    case .probing: "probing"
    }
  }
}
