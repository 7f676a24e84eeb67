import Metadata
import Platform

/// Whether the processes do their work: what the ledger shows of it.
struct ClusterExamination {
  /// A job that is due is in Redis much sooner while a scheduler works.
  static let oldestNotEnqueued: Duration = .seconds(10)
  /// A leader says something twice a second, and less often while a duty takes long.
  static let longestSilence: Duration = .seconds(15)
  /// A job of a connection that can be reached should have started by then.
  static let oldestWaiting: Duration = .seconds(900)

  /// - Parameter leaderSilence: since the leader was last heard of; nil if none leads.
  static func scheduler(leaderSilence: Duration?) -> Finding {
    guard let leaderSilence else {
      return .error(
        "schedulers", "none leads: no job reaches Redis, no instance is probed, no subscription expires",
        remedy: "start one: sluice scheduler")
    }
    return leaderSilence <= longestSilence
      ? .ok("schedulers", "one leads")
      : .error(
        "schedulers",
        "one leads, but was last heard of \(DurationText.rounded(leaderSilence)) ago: no instance is probed, no "
          + "subscription expires, and no other scheduler leads while its session lasts",
        remedy: "see whether it is frozen or cut off, and start it again")
  }

  static func outbox(_ waiting: NotEnqueued) -> Finding {
    let words =
      Counted.text(waiting.count, "job is", "jobs are")
      + " not in Redis yet, the oldest for \(DurationText.rounded(waiting.oldestAge))"
    if let since = waiting.fullSince {
      return .warning(
        "outbox", "\(words): as many jobs wait in Redis as may, since \(since)",
        remedy: "see that workers keep up: sluice worker list; or raise SLUICE_QUEUE_LIMIT")
    }
    if waiting.fullConnections > 0 && waiting.oldestAge <= oldestNotEnqueued {
      return .warning(
        "outbox", "\(words): as many jobs of \(waiting.fullConnections) connections wait in Redis as may of one",
        remedy: "see which: sluice queue stats --by connection; or raise SLUICE_QUEUE_CONNECTION_LIMIT")
    }
    if waiting.isRefilling && waiting.count > 0 {
      return .warning(
        "outbox", "Redis lost its memory and is being told of \(waiting.count) jobs or more again",
        remedy: "wait, and see that a scheduler runs")
    }
    return waiting.count == 0 || waiting.oldestAge <= oldestNotEnqueued
      ? .ok("outbox", waiting.count == 0 ? "empty" : words)
      : .error("outbox", words, remedy: "see that a scheduler runs and reaches Redis")
  }

  static func deadLetters(_ dead: DeadLetterCount) -> Finding {
    if dead.count == 0 { return .ok("dead letters", "none") }
    let count = dead.isLimited ? "\(dead.count) jobs or more were" : Counted.text(dead.count, "job was", "jobs were")
    return .warning(
      "dead letters", "\(count) discarded: what they stood for has not been done since",
      remedy: "see why with: sluice dead list; then: sluice dead retry ID")
  }

  /// The lanes of connections that are stopped, unhealthy or inactive wait for these, and those that are paused for
  /// somebody.
  static func oldestAge(_ backlog: [LaneBacklog], _ connections: [Connection], _ rules: StoredQueueRules) -> Finding {
    let active = Set(connections.filter { $0.state == .active || $0.state == .deleting }.map(\.name))
    let free = backlog.filter { active.contains($0.connection) && rules.lanes[$0.lane]?.pause == nil }
    let ages = free.compactMap { lane in lane.oldestAge.map { (lane: lane, age: $0) } }
    guard rules.pause == nil, let oldest = ages.max(by: { $0.age < $1.age }) else {
      return .ok("oldest job", "no lane that could be worked has unfinished jobs")
    }
    let age = DurationText.rounded(oldest.age)
    return oldest.age <= oldestWaiting
      ? .ok("oldest job", "\(age) old")
      : .warning(
        "oldest job", "lane \(oldest.lane.name) has a job that is unfinished for \(age)",
        remedy: "see why with: sluice job list --lane \(oldest.lane.name), then: sluice job show ID")
  }

  /// What does not fit is denied until it does.
  static func roleBudgets(_ unplaced: [(connection: String, audiences: Int)]) -> Finding {
    guard let first = unplaced.first else { return .ok("role budgets", "every audience has its place") }
    let count = Counted.text(first.audiences, "audience does", "audiences do")
    return .warning(
      "role budgets",
      "\(count) not fit the role budget of \(first.connection): what policies admit there is denied"
        + (unplaced.count == 1 ? "" : "; so it is on \(unplaced.count - 1) more"),
      remedy: "see which with: sluice connection show \(first.connection); "
        + "then: sluice connection update \(first.connection) --role-budget N, or fewer policies")
  }

  /// The queue's pause and those of lanes each stand until they are resumed.
  static func pauses(_ rules: StoredQueueRules) -> [Finding] {
    let queue = rules.pause.map {
      Finding.warning(
        "pauses", "the whole queue is paused since \($0.since) by \($0.by)", remedy: "sluice queue resume")
    }
    let lanes = rules.lanes.values.compactMap(\.pause)
    let first = lanes.min { $0.since < $1.since }.map {
      Finding.warning(
        "pauses",
        Counted.text(lanes.count, "lane is", "lanes are") + " paused, the first since \($0.since) by \($0.by)",
        remedy: "see which with: sluice queue stats --by lane; then: sluice queue resume --lane L")
    }
    let found = [queue, first].compactMap(\.self)
    return found.isEmpty ? [.ok("pauses", "none")] : found
  }
}
