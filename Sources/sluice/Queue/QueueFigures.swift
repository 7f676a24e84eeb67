import JobQueue
import Metadata
import Platform

/// The numbers of the queue with those of the ledger beside them, as records. Names and order are part of the contract.
struct QueueFigures {
  let metadata: MetadataDatabase
  let queue: LaneQueue

  /// - Parameter metadata: nil if it cannot be reached: what only the ledger knows is null then.
  static func summary(_ metadata: MetadataDatabase?, _ queue: LaneQueue) async throws -> OutputRecord {
    // The ledger before the queue: a job on its way from one to the other is seen twice rather than not at all.
    let known = try await metadata?.read { session in
      (
        waiting: try await session.notEnqueued(), unfinished: try await session.unfinishedCount(),
        ages: try await session.oldestAges(), dead: try await session.deadLetterCount(),
        rules: try await session.queueRules()
      )
    }
    let stats = try await queue.stats()
    let inRedis: OutputRecord = [
      "waiting": .count(stats.waitingTotal), "waiting_revoke": .count(stats.waiting[.revoke] ?? 0),
      "waiting_interactive": .count(stats.waiting[.interactive] ?? 0),
      "waiting_bulk": .count(stats.waiting[.bulk] ?? 0), "oldest_age": .optional(known?.ages.values.max()),
      "leased": .count(stats.leased), "delayed": .count(stats.delayed), "parked": .count(stats.parked),
      "parked_connections": .count(stats.phases.count), "lanes": .count(stats.laneCount),
      "leases": .count(stats.leaseCount),
    ]
    let inLedger: OutputRecord = [
      "not_enqueued": .optional(known?.waiting.count), "full_since": .optional(known?.waiting.fullSince),
      "full_connections": .optional(known?.waiting.fullConnections),
      "unfinished": .optional(known?.unfinished), "dead": .optional(known?.dead.count),
    ]
    return inRedis.adding(inLedger).adding(rules(known?.rules, stats.rules)).adding(rates(stats)).adding(totals(stats))
  }

  /// What Redis has of the rules stands for them where the truth cannot be read.
  private static func rules(_ rules: StoredQueueRules?, _ copy: QueueRules) -> OutputRecord {
    [
      "paused": .bool(rules.map { $0.pause != nil } ?? copy.isPaused), "paused_since": .optional(rules?.pause?.since),
      "paused_by": .optional(rules?.pause?.by),
      "paused_lanes": .count(
        rules?.lanes.values.count { $0.pause != nil } ?? copy.lanes.values.count { $0.isPaused }),
      "max_lanes": .count(rules?.mostLanes ?? copy.mostLanes),
    ]
  }

  private static func rates(_ stats: QueueStats) -> OutputRecord {
    [
      "enqueued_per_second": .number(stats.rates.enqueued), "started_per_second": .number(stats.rates.started),
      "settled_per_second": .number(stats.rates.settled),
    ]
  }

  private static func totals(_ stats: QueueStats) -> OutputRecord {
    let totals = stats.totals
    return [
      "enqueued": .count(totals.enqueued), "started": .count(totals.started), "completed": .count(totals.completed),
      "discarded": .count(totals.discarded), "cancelled": .count(totals.cancelled), "retried": .count(totals.retried),
      "returned": .count(totals.returned), "reaped": .count(totals.reaped), "stale": .count(totals.stale),
      "refused": .count(totals.refused), "epoch": .integer(stats.epoch), "rules_version": .integer(stats.rules.version),
    ]
  }

  /// A row a kind, all of them.
  static func kinds(_ metadata: MetadataDatabase?, _ queue: LaneQueue) async throws -> [OutputRecord] {
    let known = try await metadata?.read { session in
      (dead: try await session.deadLettersByLaneAndKind(), outbox: try await session.outboxByKind())
    }
    let stats = try await queue.stats()
    return JobKind.allCases.map { kind in
      let depth = stats.kinds[kind]
      return [
        "kind": .text(kind.rawValue), "waiting": .count(depth?.waiting ?? 0), "leased": .count(depth?.leased ?? 0),
        "delayed": .count(depth?.delayed ?? 0), "not_enqueued": .optional(known.map { $0.outbox[kind] ?? 0 }),
        "dead": .optional(known?.dead.filter { $0.kind == kind }.reduce(0) { $0 + $1.count }),
      ]
    }
  }

  /// A row a connection that is not deleted. Governance lanes, which no instance holds up, count for none,
  /// but for their dead letters.
  func connections() async throws -> [OutputRecord] {
    let (known, ages, rules, dead, full) = try await metadata.read { session in
      (
        try await session.connections(), try await session.oldestAges(), try await session.queueRules(),
        try await session.deadLettersByLaneAndKind(), try await session.fullConnections()
      )
    }
    let leases = Dictionary(grouping: try await queue.stats().leases, by: \.lane.connection)
    let depths = try await queue.states(ofConnections: known.map(\.id))
    return zip(known, depths).map { target, depth in
      let rule = rules.connections[target.id]
      let leased = (leases[target.id] ?? []).reduce(0) { $0 + $1.jobs }
      let letters = dead.filter { $0.connection == target.id }.reduce(0) { $0 + $1.count }
      let load: OutputRecord = [
        "connection": .text(target.name), "state": .text(target.state.rawValue), "waiting": .count(depth.waiting),
        "oldest_age": .optional(ages[target.id]), "leased": .count(leased), "dead": .count(letters),
        "lanes_in_work": .count(depth.lanesInWork), "max_lanes": .count(rule?.mostLanes ?? rules.mostLanes),
        "weight": .count(rule?.weight ?? 1), "paused": .bool(rules.pause != nil),
      ]
      return load.adding([
        "parked": .count(depth.phase == nil ? 0 : depth.waiting), "phase": .text(Self.word(depth.phase)),
        "tried_in": .optional(Self.triedIn(depth.phase)), "reason": .optional(target.stateReason),
        "full_since": .optional(full[target.id]),
      ])
    }
  }

  /// A page of lanes with unfinished jobs, dead letters or rules of their own, by connection and number.
  func lanes(
    after: (connection: String, lane: Int64)?, limit: Int
  ) async throws -> (records: [OutputRecord], last: (connection: String, lane: Int64)?) {
    let (page, rules, dead) = try await metadata.read { session in
      (
        try await session.backlog(after: after, limit: limit), try await session.queueRules(),
        try await session.deadLettersByLaneAndKind()
      )
    }
    let ids = page.map { LaneID(connection: $0.parkedBy, lane: $0.lane) }
    let states = try await queue.states(of: ids)
    let connections = Array(Set(page.map(\.connectionID)))
    let phases = Dictionary(
      uniqueKeysWithValues: zip(connections, try await queue.states(ofConnections: connections).map(\.phase)))
    let deadByLane = Dictionary(dead.map { ($0.lane, $0.count) }, uniquingKeysWith: +)
    let records = zip(page, states).map { lane, state in
      Self.record(
        lane, state, phase: lane.kind == .governance ? nil : phases[lane.connectionID] ?? nil,
        rule: rules.lanes[lane.lane], queuePause: rules.pause, dead: deadByLane[lane.lane] ?? 0)
    }
    return (records, page.last.map { ($0.connection, $0.lane) })
  }

  private static func record(
    _ lane: LaneBacklog, _ state: LaneState, phase: ConnectionPhase?, rule: StoredQueueRules.LaneRule?,
    queuePause: StoredQueueRules.Pause?, dead: Int
  ) -> OutputRecord {
    // Its own pause stands longer: it is there still when the queue is resumed.
    let pause = rule?.pause ?? queuePause
    let pauses = [queuePause.map { _ in "queue" }, rule?.pause.map { _ in "lane" }].compactMap(\.self)
    let isParked = phase != nil || state.parkedFor != nil
    return [
      "lane": .text(lane.name), "lane_id": .integer(lane.lane), "waiting": .count(state.waiting),
      "leased": .count(state.leased), "worker": .optional(state.worker), "leased_for": .optional(state.leasedFor),
      "oldest_age": .optional(lane.oldestAge), "parked": .count(isParked ? state.waiting : 0),
      "phase": .text(state.parkedFor == nil ? word(phase) : "parked"),
      "tried_in": .optional([state.parkedFor, triedIn(phase)].compactMap(\.self).max()),
      "paused": .bool(pause != nil), "pauses": .texts(pauses),
      "paused_since": .optional(pause?.since), "paused_by": .optional(pause?.by), "weight": .count(rule?.weight ?? 1),
      "dead": .count(dead),
    ]
  }

  private static func triedIn(_ phase: ConnectionPhase?) -> Duration? {
    if case .parked(let rest) = phase { rest ?? .zero } else { nil }
  }

  private static func word(_ phase: ConnectionPhase?) -> String {
    switch phase {
    case nil: "open"
    case .parked: "parked"
    case .halfOpen: "half-open"
    case .probing: "probing"
    }
  }
}

extension OutputRecord {
  func adding(_ other: OutputRecord) -> OutputRecord { OutputRecord(fields + other.fields) }
}
