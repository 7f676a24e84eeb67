import ArgumentParser
import Foundation
import JobQueue
import Metadata
import Platform

struct WorkerList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Who works on what, since when, and when it was last heard of.",
    discussion: """
      A worker that missed three heartbeats, and has leased nothing meanwhile, is silent: killed, cut off, or unable \
      to reach Redis. Its lanes are taken over when their leases expire. Workers that end by themselves leave the list, \
      others after ten minutes. After Redis was emptied workers are heard of within five seconds.

      Example: sluice worker list -o json
      """)

  @OptionGroup var common: CommonOptions

  private static let columns = [
    "name", "state", "host", "process_id", "version", "started_at", "last_heartbeat", "concurrency", "classes", "lanes",
    "progress",
  ]

  func run() async throws {
    try await common.settingOptions.withMetadata(requiring: [.redisURL], elseWithout: true) { metadata, settings in
      let roster = try await settings.withQueue { try await WorkerRoster($0) }
      let lanes = roster.entries.flatMap { $0.leases.map(\.lane.lane) }
      let names = try await metadata?.read { try await $0.laneNames(lanes) } ?? [:]
      let now = Date()
      try common.output.list(
        roster.entries.map { $0.record(names, now: now) }, columns: Self.columns,
        empty: "no worker was heard of in this epoch of the queue: those that run say so within 5s; start one with: "
          + "sluice worker")
    }
  }
}

/// The workers that were heard of, and those that hold leases without having been.
struct WorkerRoster {
  struct Entry {
    let name: String
    /// Nil for one that only its leases tell of.
    let status: WorkerStatus?
    let leases: [QueueStats.LeaseSummary]

    /// Since its last beat or lease.
    var silence: Duration { ([status?.silence].compactMap(\.self) + leases.map(\.since)).min() ?? .zero }

    var isSilent: Bool {
      let interval = status?.beat.intervalSeconds ?? WorkerBeat.usualIntervalSeconds
      return silence.inSeconds > interval * WorkerRoster.missedBeats
    }
  }

  /// Heartbeats after which a worker counts as silent.
  static let missedBeats = 3.0

  let entries: [Entry]

  init(_ queue: LaneQueue) async throws {
    self.init(workers: try await queue.workers(), leases: try await queue.stats().leases)
  }

  init(workers: [WorkerStatus], leases: [QueueStats.LeaseSummary]) {
    let held = Dictionary(grouping: leases, by: \.worker)
    let known = Set(workers.map(\.beat.name))
    let unheard = held.keys.filter { !known.contains($0) }.sorted()
    entries =
      workers.sorted { $0.beat.name < $1.beat.name }
      .map { Entry(name: $0.beat.name, status: $0, leases: held[$0.beat.name] ?? []) }
      + unheard.map { Entry(name: $0, status: nil, leases: held[$0] ?? []) }
  }
}

extension WorkerRoster.Entry {
  func record(_ names: [Int64: String], now: Date) -> OutputRecord {
    let beat = status?.beat
    return [
      "name": .text(name), "state": .text(isSilent ? "silent" : "alive"), "host": .optional(beat?.host),
      "process_id": .optional(beat.map { Int64($0.processID) }), "version": .optional(beat?.version),
      "started_at": .optional(beat?.startedAt),
      "last_heartbeat": .optional(
        status.map { now.addingTimeInterval(-$0.silence.inSeconds).ISO8601Format() }),
      "silence": .optional(status?.silence), "concurrency": .optional(beat.map { Int64($0.concurrency) }),
      "classes": .texts(beat?.classes ?? []), "lanes": .list(leases.map { .record($0.record(names)) }),
      "progress": .list(
        (beat?.progress ?? [:]).sorted { $0.key < $1.key }.map {
          .record(["job": .text($0.key), "text": .text($0.value)])
        }),
    ]
  }
}

extension QueueStats.LeaseSummary {
  fileprivate func record(_ names: [Int64: String]) -> OutputRecord {
    [
      "lane": .text(names[lane.lane] ?? "lane \(lane.lane)"), "jobs": .count(jobs), "since": .duration(since),
      "expires_in": .duration(expiresIn), "fence": .text("\(fence)"),
    ]
  }
}
