import JobQueue
import Platform
import Testing

/// `worker list`: who lives, who is silent, and who works on what.
@Suite(.timeLimit(.minutes(2)))
struct WorkerListTests {
  private struct Row: Decodable {
    struct Lane: Decodable { let lane: String, jobs: Int, since, expiresIn: Double }
    let name, state: String
    let host, startedAt, lastHeartbeat: String?
    let processId, concurrency: Int?
    let classes: [String]
    let lanes: [Lane]
    let progress: [[String: String]]
  }

  static func beat(_ name: String, interval: Double = 5) -> WorkerBeat {
    WorkerBeat(
      name: name, host: "machine", processID: 17, startedAt: "2026-01-01T00:00:00Z", version: "1", concurrency: 8,
      classes: ["revoke", "bulk"], intervalSeconds: interval)
  }

  private static func list(_ installation: Installation) async throws -> [Row] {
    try await installation.sluice("worker", "list", "-o", "json").json()
  }

  @Test func aWorkerIsShownWithItsLanes() async throws {
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      var beat = Self.beat("w-1")
      beat.progress = ["17": "3 relations found"]
      try await installation.queue.beat(beat)
      _ = try await installation.lease("w-1")
      let rows = try await Self.list(installation)
      let row = try #require(rows.first)
      #expect(rows.count == 1 && row.name == "w-1" && row.state == "alive" && row.host == "machine")
      #expect(row.progress == [["job": "17", "text": "3 relations found"]])
      #expect(row.processId == 17 && row.concurrency == 8 && row.classes == ["revoke", "bulk"])
      #expect(row.startedAt == "2026-01-01T00:00:00Z" && row.lastHeartbeat?.hasSuffix("Z") == true)
      #expect(row.lanes.map(\.lane) == ["prod/roles"] && row.lanes[0].jobs == 1)
      #expect((0...30).contains(row.lanes[0].expiresIn) && row.lanes[0].since >= 0)
    }
  }

  @Test func aWorkerThatMissesThreeBeatsIsSilent() async throws {
    try await Installation.run { installation in
      try await installation.queue.beat(Self.beat("slow", interval: 60))
      try await installation.queue.beat(Self.beat("quick"))
      #expect(try await Self.list(installation).map(\.state) == ["alive", "alive"])
      for worker in ["slow", "quick"] {
        try await installation.silence(worker, seconds: 16)
      }
      let states = try await Self.list(installation).map { "\($0.name) \($0.state)" }
      #expect(states == ["quick silent", "slow alive"])
    }
  }

  @Test func whoLeavesIsGoneAndTheOthersStay() async throws {
    try await Installation.run { installation in
      for name in ["a", "b"] { try await installation.queue.beat(Self.beat(name)) }
      try await installation.queue.leave(worker: "a")
      #expect(try await Self.list(installation).map(\.name) == ["b"])
    }
  }

  @Test func whoWasNeverHeardOfIsKnownByItsLeaseAndAliveWhileThatIsYoung() async throws {
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      let lease = try await installation.lease("ghost")
      let rows = try await Self.list(installation)
      #expect(rows.map(\.name) == ["ghost"] && rows[0].state == "alive" && rows[0].host == nil)
      try await installation.age(lease, seconds: 16)
      #expect(try await Self.list(installation).map(\.state) == ["silent"])
    }
  }

  @Test func nobodyIsSaidSo() async throws {
    try await Installation.run { installation in
      let run = try await installation.sluice("worker", "list")
      #expect(run.status == .exited(0) && run.errors.contains("start one with: sluice worker"), "\(run)")
    }
  }
}
