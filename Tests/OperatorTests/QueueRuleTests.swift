import JobQueue
import Testing

/// `queue pause`, `resume` and `tune`: what they change, and what others see of it.
@Suite(.timeLimit(.minutes(2)))
struct QueueRuleTests {
  private struct Pause: Decodable { let lane: String?, paused, changed, inRedis: Bool }
  private struct Stats: Decodable { let paused: Bool, pausedBy: String?, pausedLanes, maxLanes: Int }
  private struct LaneRow: Decodable { let lane: String, paused: Bool, weight: Int }

  @Test func aPausedQueueGivesNothingUntilItIsResumed() async throws {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      let paused = try await installation.sluice("queue", "pause", "-o", "json")
      #expect(paused.status == .exited(0))
      let answer = try paused.json(Pause.self)
      #expect(answer.paused && answer.changed && answer.inRedis && answer.lane == nil)
      await #expect(throws: Installation.NothingToLease.self) { _ = try await installation.lease() }
      let stats = try await installation.sluice("queue", "stats", "-o", "json").json(Stats.self)
      #expect(stats.paused && stats.pausedBy?.hasPrefix("cli:") == true)
      #expect(try await installation.sluice("queue", "resume").text == "the queue is not paused\n")
      #expect(try await installation.lease().jobs == [job])
    }
  }

  @Test func aPausedLaneGivesNothing() async throws {
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      #expect(try await installation.sluice("queue", "pause", "--lane", "prod/roles").status == .exited(0))
      await #expect(throws: Installation.NothingToLease.self) { _ = try await installation.lease() }
      let rows = try await installation.sluice("queue", "stats", "--by", "lane", "-o", "json").json([LaneRow].self)
      #expect(rows.map(\.lane) == ["prod/roles"] && rows[0].paused)
      let lane = try await installation.lane().id
      #expect(try await installation.sluice("queue", "resume", "--lane", "\(lane)").status == .exited(0))
      _ = try await installation.lease()
    }
  }

  @Test func thePausesOfTheQueueAndOfALaneAreToldApart() async throws {
    struct Row: Decodable { let paused: Bool, pauses: [String] }
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      func pauses() async throws -> [[String]] {
        try await installation.sluice("queue", "stats", "--by", "lane", "-o", "json").json([Row].self).map(\.pauses)
      }
      _ = try await installation.sluice("queue", "pause", "--lane", "prod/roles")
      #expect(try await pauses() == [["lane"]])
      _ = try await installation.sluice("queue", "pause")
      #expect(try await pauses() == [["queue", "lane"]])
      let resumed = try await installation.sluice("queue", "resume", "--lane", "prod/roles")
      #expect(resumed.text == "lane prod/roles is not paused; the whole queue is paused: sluice queue resume\n")
      #expect(try await pauses() == [["queue"]])
      let connections = try await installation.sluice("queue", "stats", "--by", "connection", "-o", "json").text
      #expect(connections.contains("\"paused\" : true"), "\(connections)")
    }
  }

  @Test func theSameAgainChangesNothingAndIsNoFailure() async throws {
    try await Installation.run { installation in
      for isChange in [true, false] {
        let answer = try await installation.sluice("queue", "pause", "--lane", "prod/roles", "-o", "json")
        #expect(answer.status == .exited(0))
        #expect(try answer.json(Pause.self).changed == isChange)
      }
      #expect(try await installation.audited("queue pause") == 1)
      #expect(try await installation.sluice("queue", "resume", "-o", "json").json(Pause.self).changed == false)
    }
  }

  @Test(arguments: ["prod/nothing", "nobody/roles", "4711", "roles"])
  func anUnknownLaneIsNotFound(lane: String) async throws {
    try await Installation.run { installation in
      for words in [["queue", "pause"], ["queue", "resume"], ["queue", "tune", "--weight", "2"], ["dead", "list"]] {
        let run = try await installation.run(words + ["--lane", lane])
        #expect(run.status == .exited(2), "\(run)")
      }
    }
  }

  @Test func withoutRedisThePauseIsKeptAndSaidToFollow() async throws {
    try await Installation.run { installation in
      installation.redis.stop()
      let run = try await installation.sluice("queue", "pause", "-o", "json")
      #expect(run.status == .exited(0), "\(run)")
      #expect(try run.json(Pause.self).inRedis == false)
      #expect(run.errors.contains("a scheduler tells it"), "\(run)")
      #expect(try await installation.metadata.read { try await $0.queueRules() }.pause != nil)
    }
  }

  @Test func weightsAndNumbersOfLanesReachRedisAndAreShown() async throws {
    struct Row: Decodable { let connection: String, weight, maxLanes: Int }
    try await Installation.run { installation in
      for words in [
        ["--connection", "prod", "--weight", "3", "--max-lanes", "2"], ["--lane", "prod/roles", "--weight", "7"],
        ["--all", "--max-lanes", "9"],
      ] {
        let run = try await installation.run(["queue", "tune"] + words)
        #expect(run.status == .exited(0), "\(run)")
      }
      let rules = try await installation.queue.stats().rules
      #expect(rules.connections[installation.connection.id] == .init(weight: 3, mostLanes: 2))
      #expect(rules.lanes.values.map(\.weight) == [7] && rules.mostLanes == 9)
      let rows = try await installation.sluice("queue", "stats", "--by", "connection", "-o", "json").json([Row].self)
      #expect(rows.map(\.weight) == [3] && rows.map(\.maxLanes) == [2])
      let lanes = try await installation.sluice("queue", "stats", "--by", "lane", "-o", "json").json([LaneRow].self)
      #expect(lanes.map(\.weight) == [7])
      _ = try await installation.sluice("queue", "tune", "--connection", "prod", "--max-lanes", "default")
      #expect(try await installation.queue.stats().rules.connections.values.map(\.mostLanes) == [nil])
      #expect(try await installation.audited("queue tune") == 4)
    }
  }
}
