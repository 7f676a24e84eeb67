import JobQueue
import Metadata
import Platform
import SluiceTestKit
import Testing

/// `job show`: every attempt, and each reason for which a job does not run.
@Suite(.timeLimit(.minutes(2)))
struct JobShowTests {
  private struct Shown: Decodable {
    struct Attempt: Decodable { let attempt: Int, outcome: String, worker: String, error: String? }
    let state: String
    let attempt: Int
    let why: String?
    let progress: String?
    let waitsFor: [String]
    let attempts: [Attempt]
  }

  private static func show(
    _ job: Int64, _ installation: Installation, _ changes: [String: String] = [:]
  ) async throws -> Shown {
    let run = try await installation.run(["job", "show", "\(job)", "-o", "json"], changes)
    #expect(run.status == .exited(0), "\(run)")
    return try run.json()
  }

  /// Puts a job somewhere, and expects to be told of it.
  private static func expect(
    _ reasons: [String], _ words: String, _ changes: [String: String] = [:],
    _ arrange: @Sendable @escaping (Installation) async throws -> Int64
  ) async throws {
    try await Installation.run { installation in
      let job = try await arrange(installation)
      let shown = try await show(job, installation, changes)
      #expect(shown.waitsFor == reasons)
      #expect(shown.why?.contains(words) == true, "\(shown)")
    }
  }

  @Test func notHandedOverWithoutAScheduler() async throws {
    try await Self.expect(["not_enqueued"], "no scheduler leads: start one") { try await $0.submit() }
  }

  @Test func notHandedOverYet() async throws {
    try await Installation.run { installation in
      let job = try await installation.submit()
      try await installation.metadata.dedicated { session in
        #expect(try await session.tryToLead())
        let shown = try await Self.show(job, installation)
        #expect(shown.waitsFor == ["not_enqueued"] && shown.why?.contains("in a moment") == true)
      }
    }
  }

  @Test func notHandedOverToAFullQueue() async throws {
    try await Installation.run { installation in
      let job = try await installation.submit()
      try await installation.execute("update queue_epoch set full_since = now()")
      try await installation.metadata.dedicated { session in
        #expect(try await session.tryToLead())
        let shown = try await Self.show(job, installation)
        #expect(shown.waitsFor == ["not_enqueued"] && shown.why?.contains("as many jobs wait there as may") == true)
      }
    }
  }

  @Test func itsTurnIsItsPlaceInTheLane() async throws {
    try await Self.expect(["turn"], "2 jobs of its lane come first") { installation in
      for role in ["a", "b"] { _ = try await installation.submit(role) }
      return try await installation.enqueue("c")
    }
    try await Self.expect(["turn"], "it is the next of its lane") { try await $0.enqueue() }
  }

  @Test func aPausedQueue() async throws {
    try await Self.expect(["queue_paused", "turn"], "the queue is paused since 20") { installation in
      _ = try await installation.sluice("queue", "pause")
      return try await installation.enqueue()
    }
  }

  @Test func aPausedLaneWithWhoDidIt() async throws {
    try await Self.expect(["lane_paused", "turn"], " by cli:") { installation in
      _ = try await installation.sluice("queue", "pause", "--lane", "prod/roles")
      return try await installation.enqueue()
    }
  }

  @Test func aBusyLaneWithWhoAndHowManyAhead() async throws {
    try await Self.expect(
      ["lane_busy", "turn"], "its lane is busy with 1 job on w-9 for 0s; 1 job of its lane comes first"
    ) {
      for role in ["a", "b"] { _ = try await $0.submit(role) }
      let job = try await $0.enqueue("c")
      _ = try await $0.lease("w-9", limit: 1)
      return job
    }
  }

  @Test func justLeased() async throws {
    try await Self.expect(["leased"], "its batch was leased by w-9") { installation in
      let job = try await installation.enqueue()
      _ = try await installation.lease("w-9")
      return job
    }
  }

  /// It would keep its place and count there for as long as its lane is not worked.
  @Test func aCancelledJobLeavesRedis() async throws {
    try await Installation.run { installation async throws in
      let job = try await installation.enqueue()
      #expect(try await installation.queue.depths(of: [installation.connection.id]).values.first == 1)
      #expect(try await installation.sluice("job", "cancel", "\(job)").status == .exited(0))
      #expect(try await installation.queue.depths(of: [installation.connection.id]).values.first == 0)
    }
  }

  @Test func aStoppedConnectionIsParkedUntilAnInstantAndSaysWhy() async throws {
    let reasons = ["connection_state", "connection_parked", "turn"]
    try await Self.expect(reasons, "connection prod is stopped since 20") { installation in
      try await Self.park(installation)
    }
    try await Self.expect(reasons, "(the instance is stopped); its connection is parked and tried again in ") {
      try await Self.park($0)
    }
  }

  private static func park(_ installation: Installation) async throws -> Int64 {
    let job = try await installation.enqueue()
    _ = try await installation.metadata.transaction {
      try await $0.setState(of: installation.connection.id, to: .stopped, reason: "the instance is stopped")
    }
    try await installation.queue.park(connection: installation.connection.id, for: .seconds(300))
    return job
  }

  @Test func aConnectionThatIsTriedWithTheNextBatch() async throws {
    try await Self.expect(["connection_tried", "turn"], "is tried with the next batch") { installation in
      let job = try await installation.enqueue()
      try await installation.queue.park(connection: installation.connection.id, for: .seconds(300))
      try await installation.queue.wake(connection: installation.connection.id)
      return job
    }
  }

  @Test func aConnectionThatALaneIsTrying() async throws {
    try await Self.expect(["connection_tried", "lane_busy", "turn"], "tried with a batch of lane prod/roles") {
      // Each batch has a job of the lower class too, the oldest.
      _ = try await $0.submit("b")
      let job = try await $0.submit("c")
      _ = try await $0.submit("a", .revoke, kind: .revoke)
      try await $0.handOver()
      try await $0.queue.park(connection: $0.connection.id, for: .seconds(300))
      try await $0.queue.wake(connection: $0.connection.id)
      _ = try await $0.lease(limit: 1)
      return job
    }
  }

  @Test func aParkedLane() async throws {
    try await Self.expect(["lane_parked", "turn"], "its lane is parked and tried again in ") { installation in
      let job = try await installation.enqueue()
      let lane = try await installation.lane()
      try await installation.queue.park(
        lane: LaneID(connection: lane.connection, lane: lane.id), for: .seconds(300))
      return job
    }
  }

  @Test func aConnectionWithAsManyLanesInWorkAsItMayHave() async throws {
    try await Self.expect(["connection_full", "turn"], "1 lane of its connection is in work, and 1 may be") {
      let lane = LaneID(connection: $0.connection.id, lane: 900)
      _ = try await $0.queue.enqueue(
        [QueuedJob(number: 900, lane: lane, jobClass: .revoke, kind: .revoke)], epoch: Installation.epoch)
      #expect(try await $0.lease().lane == lane)
      _ = try await $0.sluice("queue", "tune", "--connection", "prod", "--max-lanes", "1")
      return try await $0.enqueue()
    }
  }

  @Test func aDelayedJobWithItsAttempts() async throws {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      try await installation.settle(
        try await installation.lease("w-9"), .retryable(.seconds(100)), error: "it was locked")
      let shown = try await Self.show(job, installation)
      #expect(shown.state == "retryable" && shown.waitsFor == ["delayed"])
      #expect(shown.why?.contains("attempt 2") == true)
      #expect(shown.attempts.map(\.outcome) == ["retryable"] && shown.attempts[0].error == "it was locked")
      #expect(shown.attempts[0].worker == "w-9")
    }
  }

  @Test func aStallIsAnAttemptWithTheWorkerThatVanished() async throws {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      for (sequence, worker) in [(1, "lost"), (2, "w-2")] {
        let fence = Fence(epoch: Installation.epoch, sequence: Int64(sequence))
        _ = try await installation.metadata.transaction { try await $0.claim([job], fence: fence, worker: worker) }
      }
      var shown = try await Self.show(job, installation)
      #expect(shown.attempts.map(\.outcome) == ["stalled"] && shown.attempts.map(\.worker) == ["lost"])
      try await installation.metadata.transaction {
        _ = try await $0.settle(
          [JobResult(id: job, outcome: .completed)], fence: Fence(epoch: Installation.epoch, sequence: 2))
      }
      shown = try await Self.show(job, installation)
      #expect(shown.attempts.map(\.outcome) == ["stalled", "completed"] && shown.attempts.map(\.attempt) == [1, 1])
    }
  }

  @Test func aJobThatRedisHasForgotten() async throws {
    try await Self.expect(["absent"], "Redis does not have it") { installation in
      let job = try await installation.enqueue()
      _ = try await installation.client.send(["FLUSHALL"])
      _ = try await installation.queue.establish(epoch: Installation.epoch)
      return job
    }
  }

  @Test func anEmptiedRedisIsSaidSo() async throws {
    try await Self.expect(["unknown"], "Redis has no memory of the queue") { installation in
      let job = try await installation.enqueue()
      _ = try await installation.client.send(["FLUSHALL"])
      return job
    }
  }

  @Test func anUnreachableRedisIsSaidSoAndTheRestShown() async throws {
    let away = ["SLUICE_REDIS_URL": "redis://127.0.0.1:1"]
    try await Self.expect(["connection_state", "unknown"], "cannot be said: ", away) { try await Self.park($0) }
  }

  @Test func whatRunsOrHasFinishedWaitsForNothing() async throws {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      let lease = try await installation.lease("w-9")
      _ = try await installation.metadata.transaction {
        try await $0.claim(lease.jobs, fence: lease.fence, worker: lease.worker)
      }
      let running = try await Self.show(job, installation)
      #expect(running.attempt == 1)
      #expect(running.waitsFor.isEmpty && running.why?.contains("it runs on w-9") == true)
      #expect(running.progress == nil)
      var beat = WorkerListTests.beat("w-9")
      beat.progress = ["\(job)": "columns of 10000 of 100000 relations"]
      try await installation.queue.beat(beat)
      #expect(try await Self.show(job, installation).progress == "columns of 10000 of 100000 relations")
      try await installation.settle(lease, .completed)
      let finished = try await Self.show(job, installation)
      #expect(finished.waitsFor.isEmpty && finished.why == nil && finished.attempts.count == 1)
    }
  }
}
