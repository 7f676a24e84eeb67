import Foundation
import JobQueue
import Metadata
import Platform
import SluiceTestKit
import Testing

/// `sluice doctor` on an installation of which one thing is broken at a time.
@Suite(.timeLimit(.minutes(3)))
struct DoctorTests {
  struct Row: Decodable { let check, verdict, message: String, remedy: String? }

  private static func examine(_ installation: Installation, _ changes: [String: String] = [:]) async throws -> [Row] {
    let run = try await installation.run(["doctor", "-o", "json"], changes)
    let rows: [Row] = try run.json()
    let hasErrors = rows.contains { $0.verdict == "error" }
    #expect(run.status == .exited(hasErrors ? 1 : 0), "\(run)")
    #expect(rows.allSatisfy { $0.verdict == "ok" || $0.remedy?.isEmpty == false })
    return rows
  }

  /// Breaks something, and expects the verdict on it.
  private static func expect(
    _ verdict: String, _ check: String, _ words: String = "", _ changes: [String: String] = [:],
    _ arrange: @Sendable @escaping (Installation) async throws -> Void = { _ in }
  ) async throws {
    try await Installation.run { installation in
      try await arrange(installation)
      let rows = try await examine(installation, changes)
      let found = rows.filter { $0.check == check && $0.verdict == verdict }
      #expect(found.contains { words.isEmpty || $0.message.contains(words) }, "\(rows)")
    }
  }

  @Test func aSoundQueueIsSaidToBe() async throws {
    try await Installation.run { installation in
      _ = try await installation.enqueue()
      let rows = try await Self.examine(installation)
      for check in ["epoch", "rules", "invariants", "overdue", "jobs"] {
        #expect(rows.filter { $0.check == "queue \(check)" }.map(\.verdict) == ["ok"], "\(rows)")
      }
    }
  }

  @Test func anotherEpoch() async throws {
    try await Self.expect("error", "queue epoch", "Redis has 1, the ledger 3") {
      try await $0.execute("update queue_epoch set epoch = 3")
    }
  }

  @Test func aRedisWithoutAMemory() async throws {
    try await Self.expect("error", "queue epoch", "no memory of the queue") {
      _ = try await $0.client.send(["FLUSHALL"])
    }
  }

  @Test func otherRules() async throws {
    try await Self.expect("error", "queue rules", "Redis has version 1, the metadata database 2") {
      _ = try await $0.metadata.transaction { try await $0.pauseQueue(by: "ana") }
    }
  }

  @Test func aCounterThatIsWrong() async throws {
    try await Self.expect("error", "queue invariants", "sum of waiting jobs: 1 found, 2 noted") {
      _ = try await $0.enqueue()
      _ = try await $0.client.send(["HINCRBY", "{sluice:0}:counters", "waiting:1g", "1"])
    }
  }

  @Test func aJobThatIsNotInRedis() async throws {
    try await Self.expect("error", "queue jobs", "1 of 2 unfinished jobs are not in Redis") { installation in
      let job = try await installation.enqueue("a")
      _ = try await installation.enqueue("b")
      let lane = LaneID(connection: installation.connection.id, lane: try await installation.lane().id)
      let queued = QueuedJob(number: job, lane: lane, jobClass: .interactive, kind: .subscribe)
      #expect(try await installation.queue.cancel(queued))
    }
  }

  @Test func aJobThatRunsUnderALaterFenceThanItsLane() async throws {
    try await Self.expect("error", "queue fences") { installation in
      _ = try await installation.enqueue()
      let lease = try await installation.lease()
      _ = try await installation.metadata.transaction {
        try await $0.claim(lease.jobs, fence: Fence(epoch: 1, sequence: 900), worker: "w")
      }
    }
  }

  @Test func nobodyLeasesWhatIsDue() async throws {
    try await Self.expect("error", "queue overdue", "a lease expired since") { installation in
      _ = try await installation.enqueue()
      let lease = try await installation.lease()
      let past = Int((Date().timeIntervalSince1970 - 70) * 1000)
      _ = try await installation.client.send(["ZADD", "{sluice:0}:leases", "\(past)", "\(lease.lane)"])
    }
  }

  @Test func noSchedulerAndOneThatLeads() async throws {
    try await Installation.run { installation in
      let rows = try await Self.examine(installation)
      #expect(rows.filter { $0.check == "schedulers" }.map(\.verdict) == ["error"])
      try await installation.metadata.dedicated { session in
        #expect(try await session.tryToLead())
        let rows = try await Self.examine(installation)
        #expect(rows.filter { $0.check == "schedulers" }.map(\.verdict) == ["ok"])
        // no event: how long the leader has been silent is measured
        try await Task.sleep(for: .milliseconds(100))
        let silence = try await installation.metadata.read { try await $0.serverFacts().leaderSilence }
        #expect(try #require(silence) >= .milliseconds(100))
      }
    }
  }

  private static func beat(_ name: String, classes: [String]) -> WorkerBeat {
    WorkerBeat(
      name: name, host: "m", processID: 1, startedAt: "2026-01-01T00:00:00Z", version: "1", concurrency: 4,
      classes: classes)
  }

  @Test func noWorker() async throws { try await Self.expect("error", "workers", "none is alive") }

  @Test func aClassThatNobodyTakes() async throws {
    try await Self.expect("error", "workers", "no worker takes jobs of class revoke") {
      try await $0.queue.beat(Self.beat("w-1", classes: ["interactive", "bulk"]))
    }
  }

  private static let allClasses = ["revoke", "interactive", "bulk"]

  @Test func aSilentWorkerBesideOneThatLives() async throws {
    try await Self.expect("warning", "workers", "ghost is silent for 20s and holds 1 lane") { installation in
      _ = try await installation.enqueue()
      try await installation.age(installation.lease("ghost"), seconds: 20)
      try await installation.queue.beat(Self.beat("w-1", classes: Self.allClasses))
    }
  }

  @Test func aSilentWorkerWithoutLanesIsNoWarning() async throws {
    try await Self.expect("ok", "workers", "1 alive, every class is taken; 1 that ended without a word") {
      try await $0.queue.beat(Self.beat("killed", classes: Self.allClasses))
      try await $0.silence("killed", seconds: 20)
      try await $0.queue.beat(Self.beat("w-1", classes: Self.allClasses))
    }
  }

  @Test func whoHoldsAYoungLeaseIsAliveThoughNoBeatIsKnownSinceTheQueueWasFilledAgain() async throws {
    try await Self.expect("ok", "workers", "1 alive, every class is taken") { installation in
      _ = try await installation.enqueue()
      _ = try await installation.lease("w-1")
    }
  }

  @Test func aWorkerThatIsHeardOfWithinABeatIsNotMissed() async throws {
    try await Installation.run { installation in
      async let rows = Self.examine(installation)
      // no event: the beat is to come while doctor looks, and doctor says nothing while it does
      try await Task.sleep(for: .seconds(2))
      try await installation.queue.beat(Self.beat("w-1", classes: Self.allClasses))
      #expect(try await rows.filter { $0.check == "workers" }.map(\.verdict) == ["ok"])
    }
  }

  @Test func deadLetters() async throws {
    try await Self.expect("warning", "dead letters", "1 job was discarded") { _ = try await $0.discard() }
  }

  @Test func anOutboxThatNobodyEmpties() async throws {
    try await Self.expect("error", "outbox", "1 job is not in Redis yet") { installation in
      let job = try await installation.submit()
      try await installation.execute(
        "update job set created_at = now() - interval '1 hour', scheduled_at = now() - interval '1 hour' where id = \(job)"
      )
    }
  }

  @Test func aFullQueue() async throws {
    try await Self.expect("warning", "outbox", "as many jobs wait in Redis as may, since 20") {
      _ = try await $0.submit()
      try await $0.execute("update queue_epoch set full_since = now()")
    }
  }

  @Test func aJobThatIsUnfinishedForHours() async throws {
    try await Self.expect("warning", "oldest job", "lane prod/roles has a job that is unfinished for") { installation in
      let job = try await installation.enqueue()
      try await installation.execute("update job set created_at = now() - interval '2 hours' where id = \(job)")
    }
  }

  @Test func policiesThatDoNotFitTheRoleBudget() async throws {
    try await Self.expect("warning", "role budgets", "1 audience does not fit the role budget of prod") {
      try await $0.execute(
        """
        insert into audience (connection_id, key, access, condition, role, policies, form)
        select id, 'k', 'read', 'true', 'r', '{p}', 'unplaced' from connection
        """)
    }
  }

  @Test func pauses() async throws {
    try await Self.expect("warning", "pauses", "the whole queue is paused since") {
      _ = try await $0.sluice("queue", "pause")
    }
    for words in ["the whole queue is paused since", "1 lane is paused"] {
      try await Self.expect("warning", "pauses", words) {
        _ = try await $0.sluice("queue", "pause", "--lane", "prod/roles")
        _ = try await $0.sluice("queue", "pause")
      }
    }
  }

  @Test func serversThatCannotBeReachedAreFindingsToo() async throws {
    let (noMetadata, noRedis) = (
      ["SLUICE_METADATA_URL": "postgres://x@127.0.0.1:1/d"], ["SLUICE_REDIS_URL": "redis://127.0.0.1:1"]
    )
    try await Installation.run { installation in
      try await installation.queue.beat(Self.beat("w-1", classes: Self.allClasses))
      let all = Set(try await Self.examine(installation).map(\.check))
      #expect(all.isSuperset(of: ["clock of redis", "connections", "queue jobs", "metadata autovacuum"]), "\(all)")
      func verdicts(_ changes: [String: String]) async throws -> [String: Set<String>] {
        let rows = try await Self.examine(installation, changes)
        let checks = Set(rows.map(\.check))
        #expect(all.subtracting(checks).isEmpty, "what is left out without a word with \(changes)")
        return Dictionary(grouping: rows, by: \.verdict).mapValues { Set($0.map(\.check)) }
      }
      var found = try await verdicts(noMetadata)
      #expect(found["error"] == ["metadata schema"])
      #expect(found["ok"]?.isSuperset(of: ["redis role", "queue invariants", "queue overdue", "workers"]) == true)
      #expect(found["unknown"]?.isSuperset(of: ["metadata role", "queue epoch", "dead letters"]) == true)
      found = try await verdicts(noRedis)
      #expect(found["error"]?.isSuperset(of: ["redis server", "schedulers"]) == true)
      #expect(found["ok"]?.isSuperset(of: ["metadata role", "dead letters"]) == true)
      #expect(found["unknown"]?.isSuperset(of: ["redis role", "queue epoch", "queue invariants", "workers"]) == true)
      found = try await verdicts(noMetadata.merging(noRedis) { $1 })
      #expect(found["error"] == ["metadata schema", "redis server"])
    }
  }

  @Test func anOldSchema() async throws {
    try await Self.expect("error", "metadata schema", "run: sluice migrate") {
      try await $0.execute("delete from sluice_migration where version = (select max(version) from sluice_migration)")
    }
  }

  @Test func aKeyFileThatIsNotThere() async throws {
    try await Self.expect("error", "key file", "", ["SLUICE_SECRET_KEY_FILE": "/nowhere/key"])
    try await Self.expect("warning", "key file", "not given")
  }

  @Test func aConnectionThatCannotBeReached() async throws {
    let file = "/tmp/sluice-operators-key-\(UUID().uuidString.prefix(8))"
    defer { try? FileManager.default.removeItem(atPath: file) }
    try await Installation.run { installation in
      #expect(try await installation.sluice("key", "generate", "--file", file).status == .exited(0))
      let rows = try await Self.examine(installation, ["SLUICE_SECRET_KEY_FILE": file])
      #expect(rows.filter { $0.check == "connection prod" }.map(\.verdict) == ["error"])
    }
  }

  @Test func onlyWhatIsNotFineIsShownIfAsked() async throws {
    try await Installation.run { installation in
      let run = try await installation.sluice("doctor", "--quiet", "-o", "jsonl")
      #expect(run.text.contains("\"verdict\":\"error\"") && !run.text.contains("\"verdict\":\"ok\""), "\(run)")
    }
  }
}
