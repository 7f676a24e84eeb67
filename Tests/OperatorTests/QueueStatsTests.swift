import JobQueue
import Metadata
import Platform
import Testing

/// `queue stats` in its four forms.
@Suite(.timeLimit(.minutes(2)))
struct QueueStatsTests {
  private struct Summary: Decodable {
    let waiting, leased, delayed, parked, notEnqueued, unfinished, dead, lanes, enqueued, started: Int
    let oldestAge: Double?
    let enqueuedPerSecond: Double
  }
  private struct KindRow: Decodable { let kind: String, waiting, leased, delayed, notEnqueued, dead: Int }
  private struct LaneRow: Decodable {
    let lane: String, laneId: Int64, waiting, leased, parked, dead: Int, worker: String?, phase: String
  }
  private struct ConnectionRow: Decodable {
    let connection, phase: String, waiting, leased, parked, dead, lanesInWork: Int
  }

  private static func rows<Row: Decodable>(_ by: String, _ installation: Installation) async throws -> [Row] {
    try await installation.sluice("queue", "stats", "--by", by, "-o", "json").json()
  }

  /// A dead letter, a delayed job, two that wait, one that is leased, and one that Redis has not been told of.
  private static func fill(_ installation: Installation) async throws {
    _ = try await installation.discard("dead")
    _ = try await installation.enqueue("late")
    try await installation.settle(try await installation.lease(), .retryable(.seconds(100)))
    for role in ["a", "b", "c"] { _ = try await installation.submit(role, .bulk) }
    try await installation.handOver()
    _ = try await installation.lease("w-1", limit: 1)
    _ = try await installation.submit("new")
  }

  @Test func theSummaryCountsEverythingOnce() async throws {
    try await Installation.run { installation in
      try await Self.fill(installation)
      let summary: Summary = try await installation.sluice("queue", "stats", "-o", "json").json()
      #expect(summary.waiting == 2 && summary.leased == 1 && summary.delayed == 1 && summary.parked == 0)
      #expect(summary.notEnqueued == 1 && summary.unfinished == 5 && summary.dead == 1 && summary.lanes == 1)
      #expect(summary.enqueued == 5 && summary.started == 3 && summary.oldestAge != nil)
    }
  }

  @Test func kindsAndLanesAndConnectionsShowTheSame() async throws {
    try await Installation.run { installation in
      try await Self.fill(installation)
      let kinds: [KindRow] = try await Self.rows("kind", installation)
      #expect(kinds.map(\.kind) == ["sync", "subscribe", "revoke", "evaluate"])
      #expect(kinds[1].waiting == 2 && kinds[1].leased == 1 && kinds[1].delayed == 1 && kinds[1].dead == 1)
      #expect(kinds[1].notEnqueued == 1 && kinds[0].notEnqueued == 0)
      let lanes: [LaneRow] = try await Self.rows("lane", installation)
      #expect(lanes.map(\.lane) == ["prod/roles"] && lanes[0].waiting == 2 && lanes[0].leased == 1)
      #expect(lanes[0].worker == "w-1" && lanes[0].dead == 1 && lanes[0].phase == "open")
      let connections: [ConnectionRow] = try await Self.rows("connection", installation)
      #expect(connections.map(\.connection) == ["prod"] && connections[0].waiting == 2)
      #expect(connections[0].lanesInWork == 1 && connections[0].phase == "open")
      #expect(connections[0].leased == 1 && connections[0].dead == 1)
    }
  }

  @Test func aFullConnectionIsShown() async throws {
    struct Row: Decodable { let connection: String, fullSince: String? }
    struct Whole: Decodable { let fullConnections: Int }
    try await Installation.run { installation in
      let before: [Row] = try await Self.rows("connection", installation)
      #expect(before.map(\.fullSince) == [nil])
      let id = installation.connection.id
      _ = try await installation.metadata.transaction { try await $0.noteConnections([id], areFull: true) }
      let rows: [Row] = try await Self.rows("connection", installation)
      #expect(rows.map(\.connection) == ["prod"] && rows[0].fullSince?.hasPrefix("20") == true)
      let whole: Whole = try await installation.sluice("queue", "stats", "-o", "json").json()
      #expect(whole.fullConnections == 1)
    }
  }

  @Test func aLaneOfDeadLettersAloneIsListedAndHasNoAge() async throws {
    struct Row: Decodable { let lane: String, dead: Int, oldestAge: Double? }
    try await Installation.run { installation in
      _ = try await installation.discard()
      let lanes: [Row] = try await Self.rows("lane", installation)
      #expect(lanes.map(\.lane) == ["prod/roles"] && lanes[0].dead == 1 && lanes[0].oldestAge == nil)
    }
  }

  @Test func whatIsParkedSaysUntilWhenAndWhy() async throws {
    struct Row: Decodable { let phase: String, triedIn: Double?, reason: String? }
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      let id = installation.connection.id
      try await installation.queue.park(connection: id, for: .seconds(100))
      try await installation.metadata.noteTrouble(with: id, "the server hung up")
      let lanes: [Row] = try await Self.rows("lane", installation)
      let connections: [Row] = try await Self.rows("connection", installation)
      for row in lanes + connections { #expect((90...100).contains(row.triedIn ?? 0), "\(row)") }
      #expect(connections[0].reason == "the server hung up")
      let shown = try await installation.sluice("job", "show", "\(job)").text
      #expect(shown.contains("(the server hung up)"), "\(shown)")
      let listed = try await installation.sluice("connection", "list").text
      #expect(listed.contains("active") && listed.contains("the server hung up"), "\(listed)")
    }
  }

  @Test func whatIsParkedIsCountedSo() async throws {
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      try await installation.queue.park(connection: installation.connection.id, for: .seconds(100))
      let lanes: [LaneRow] = try await Self.rows("lane", installation)
      #expect(lanes[0].parked == 1 && lanes[0].phase == "parked")
      let connections: [ConnectionRow] = try await Self.rows("connection", installation)
      #expect(connections[0].parked == 1 && connections[0].phase == "parked")
      let summary: Summary = try await installation.sluice("queue", "stats", "-o", "json").json()
      #expect(summary.parked == 1 && summary.waiting == 1)
    }
  }

  /// 2,500 lanes with a job each, in Redis and in the ledger.
  private static func addLanes(_ count: Int, _ installation: Installation) async throws {
    let id = installation.connection.id
    try await installation.execute(
      """
      insert into securable (connection_id, kind, name, oid, owner)
        select \(id), 'database', 'd' || lpad(n::text, 5, '0'), n, 'o' from generate_series(1, \(count)) n;
      insert into lane (connection_id, kind, database_id)
        select \(id), 'database', id from securable where connection_id = \(id) and kind = 'database' order by name;
      insert into job (lane_id, kind, class, scope) select id, 'sync', 2, '{"subject":"everything"}'
        from lane where kind = 'database' order by id;
      insert into refill (class, parked_by, epoch) values (2, \(id), \(Installation.epoch))
      """)
    try await installation.handOver()
  }

  @Test func lanesAreListedWithoutALimitOfTheQueue() async throws {
    try await Installation.run { installation in
      try await Self.addLanes(2500, installation)
      let all: [LaneRow] = try await Self.rows("lane", installation)
      #expect(all.count == 2500 && all.allSatisfy { $0.waiting == 1 })
      #expect(Set(all.map(\.lane)).count == 2500)
      let lines = try await installation.sluice("queue", "stats", "--by", "lane", "-o", "jsonl").text
      #expect(lines.split(separator: "\n").count == 2500)
    }
  }

  @Test func pagesOfLanesFollowEachOther() async throws {
    try await Installation.run { installation in
      try await Self.addLanes(5, installation)
      let first: [LaneRow] = try await installation.sluice(
        "queue", "stats", "--by", "lane", "--limit", "2", "-o", "json"
      ).json()
      #expect(first.map(\.lane) == ["prod/d00001", "prod/d00002"])
      let rest: [LaneRow] = try await installation.sluice(
        "queue", "stats", "--by", "lane", "--after", "prod/d00002", "-o", "json"
      ).json()
      #expect(rest.map(\.lane) == ["prod/d00003", "prod/d00004", "prod/d00005"])
      let people = try await installation.sluice("queue", "stats", "--by", "lane", "--limit", "2")
      #expect(people.errors.contains("--after \(first[1].laneId)"), "\(people)")
    }
  }

  @Test func withoutTheMetadataDatabaseWhatRedisKnowsIsTold() async throws {
    struct Answer: Decodable { let waiting: Int, dead: Int?, paused: Bool }
    let away = ["SLUICE_METADATA_URL": "postgres://x@127.0.0.1:1/d"]
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      let run = try await installation.sluice("queue", "stats", "-o", "json", changes: away)
      #expect(run.status == .exited(69) && run.errors.contains("what the ledger knows is not told"), "\(run)")
      let answer = try run.json(Answer.self)
      #expect(answer.waiting == 1 && answer.dead == nil && !answer.paused)
      _ = try await installation.lease("w-1")
      let workers = try await installation.sluice("worker", "list", changes: away)
      #expect(workers.status == .exited(69) && workers.text.contains("w-1"), "\(workers)")
      let lanes = try await installation.sluice("queue", "stats", "--by", "lane", changes: away)
      #expect(lanes.status == .exited(69) && lanes.text.isEmpty, "\(lanes)")
    }
  }

  @Test func withoutRedisNothingIsGuessed() async throws {
    try await Installation.run { installation in
      installation.redis.stop()
      let run = try await installation.sluice("queue", "stats")
      #expect(run.status == .exited(69), "\(run)")
    }
  }
}
