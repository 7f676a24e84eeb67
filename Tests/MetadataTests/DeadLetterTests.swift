import Metadata
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct DeadLetterTests {
  /// Jobs of one lane that were discarded, in the order of their scopes.
  private func discard(_ scopes: [JobScope], _ fixture: Fixture) async throws -> [Int64] {
    var jobs: [Int64] = []
    for scope in scopes {
      let job = try await fixture.submit(scope)[0].id
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .discarded)
      jobs.append(job)
    }
    return jobs
  }

  private func retryAll(_ fixture: Fixture, lane: Int64? = nil, after: Int64 = 0) async throws -> [RetriedJob] {
    try await fixture.write { try await $0.retryDeadLetters(lane: lane, after: after) }
  }

  @Test func theyAreListedOldestFirstByPagesAndByLane() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard((0..<5).map { .grantee("r\($0)") }, fixture)
      let lane = try await fixture.lane()
      let first = try await fixture.read { try await $0.deadLetters(lane: lane, limit: 3) }
      #expect(first.map(\.id) == Array(dead[..<3]))
      let second = try await fixture.read { try await $0.deadLetters(lane: lane, after: dead[2], limit: 3) }
      #expect(second.map(\.id) == Array(dead[3...]))
      #expect(try await fixture.read { try await $0.deadLetters(lane: lane + 1000) }.isEmpty)
      #expect(try await fixture.read { try await $0.deadLetterCount() } == DeadLetterCount(count: 5, isLimited: false))
      #expect(try await fixture.read { try await $0.deadLetterCount(lane: lane + 1000) }.count == 0)
    }
  }

  @Test func allAreRetriedInTheirOrderAndAsIfNew() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard((0..<3).map { .grantee("r\($0)") }, fixture)
      _ = try await fixture.takeOutbox()
      #expect(try await retryAll(fixture, after: dead[0]).map(\.id) == Array(dead[1...]))
      #expect(try await retryAll(fixture) == [RetriedJob(id: dead[0], runsAs: dead[0])])
      let retried = try await fixture.takeOutbox().map(\.id)
      #expect(retried == dead)
      let job = try await fixture.job(dead[2])
      #expect(job.state == .available && job.attempt == 0 && job.startedAt == nil && job.worker == nil)
    }
  }

  @Test func aRetriedJobTakesFurtherRequestsAgain() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r")], fixture)
      _ = try await retryAll(fixture)
      #expect(try await fixture.submit(.grantee("r"))[0].id == dead[0])
    }
  }

  @Test func aJobThatWaitsAlreadyRunsForTheDeadOne() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r")], fixture)[0]
      let open = try await fixture.submitOne()
      #expect(try await retryAll(fixture) == [RetriedJob(id: dead, runsAs: open)])
      let merged = try await fixture.job(dead)
      #expect(merged.state == .cancelled && merged.error == "runs again as job \(open)")
      #expect(try await fixture.job(open).coalesced == 1)
    }
  }

  @Test func ofSeveralWithOneKeyTheOldestRuns() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r"), .grantee("r"), .grantee("s")], fixture)
      let retried = try await retryAll(fixture)
      #expect(retried.map(\.runsAs) == [dead[0], dead[0], dead[2]])
      #expect(try await fixture.job(dead[1]).state == .cancelled)
    }
  }

  @Test func aRunningJobDoesNotStandForADeadOne() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r")], fixture)[0]
      let running = try await fixture.submitOne()
      _ = try await fixture.claim([running], 2)
      #expect(try await retryAll(fixture) == [RetriedJob(id: dead, runsAs: dead)])
    }
  }

  /// The retry waits for the producer's commit, and finds its job then.
  @Test func aProducerThatIsQuickerIsJoined() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r")], fixture)[0]
      let lane = try await fixture.lane()
      let (submitted, retrying) = try await fixture.write {
        producer async throws -> (Int64, Task<[RetriedJob], any Error>) in
        let job = try await producer.submit([
          JobRequest(lane: lane, kind: .subscribe, jobClass: .interactive, scope: .grantee("r"))
        ])[0]
        // Outlives the producer's transaction, for whose end it waits; awaited below.
        let retrying = Task { try await retryAll(fixture) }
        let blocked =
          "select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while try await fixture.rows(blocked)[0].int("n") == 0 { await Task.yield() }
        return (job.id, retrying)
      }
      #expect(try await retrying.value == [RetriedJob(id: dead, runsAs: submitted)])
    }
  }

  @Test func aDiscardedOneIsPutAsideWithWhoAndWhy() async throws {
    try await Fixture.run { fixture in
      let dead = try await discard([.grantee("r")], fixture)[0]
      try await fixture.write { try await $0.discardDeadLetter(id: dead, actor: "ana", reason: "the table is gone") }
      let job = try await fixture.job(dead)
      #expect(job.state == .cancelled && job.remedy == nil)
      #expect(job.error == "put aside by ana: the table is gone; it had failed: it failed")
      let audit = try await fixture.rows(
        "select actor, detail ->> 'reason' as reason from audit where job_id = $1", [.int8(dead)])
      #expect(try audit.map { try $0.text("actor") + $0.text("reason") } == ["anathe table is gone"])
      #expect(try await fixture.read { try await $0.deadLetterCount() }.count == 0)
    }
  }

  @Test func onlyADeadLetterIsDiscarded() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let error = await #expect(throws: MetadataError.self) {
        try await fixture.write { try await $0.discardDeadLetter(id: job, actor: "ana") }
      }
      #expect(error?.code == .refused)
      #expect(try await fixture.job(job).state == .available)
    }
  }
}
