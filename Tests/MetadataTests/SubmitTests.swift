import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SubmitTests {
  @Test func theSameRequestCoalescesIntoAJobThatHasNotStarted() async throws {
    try await Fixture.run { fixture in
      let first = try await fixture.submit(.grantee("r"))
      let second = try await fixture.submit(.grantee("r"))
      #expect(first[0].isNew && !second[0].isNew && first[0].id == second[0].id)
      #expect(try await fixture.job(first[0].id).coalesced == 1)
    }
  }

  @Test func twoOfTheSameInOneSubmissionAreOneJob() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("r"), .grantee("s"), .grantee("r"))
      #expect(jobs[0].id == jobs[2].id && jobs[0].id != jobs[1].id)
    }
  }

  @Test func aRunningJobTakesNoFurtherRequest() async throws {
    try await Fixture.run { fixture in
      let first = try await fixture.submitOne()
      _ = try await fixture.claim([first])
      let second = try await fixture.submit(.grantee("r"))
      #expect(second[0].isNew && second[0].id != first)
    }
  }

  @Test func aRetryingJobTakesNoFurtherRequest() async throws {
    try await Fixture.run { fixture in
      let first = try await fixture.submitOne()
      _ = try await fixture.claim([first])
      try await fixture.settle(first, .retryable(.seconds(60)))
      #expect(try await fixture.submit(.grantee("r"))[0].isNew)
    }
  }

  /// One run is enough, and it does not wait behind what nobody waits for.
  @Test func aMoreUrgentRequestRaisesTheJobThatWaits() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      func submit(_ classes: JobClass...) async throws -> [SubmittedJob] {
        try await fixture.write { session in
          try await session.submit(
            classes.map { JobRequest(lane: lane, kind: .sync, jobClass: $0, scope: .connection) })
        }
      }
      let bulk = try await submit(.bulk)[0]
      #expect(try await fixture.takeOutbox().map(\.id) == [bulk.id])
      let raised = try await submit(.bulk, .interactive, .bulk)
      #expect(raised.allSatisfy { $0.id == bulk.id && !$0.isNew })
      #expect(try await fixture.job(bulk.id).jobClass == .interactive)
      let told = try await fixture.takeOutbox()
      #expect(told.map(\.id) == [bulk.id] && told.map(\.jobClass) == [.interactive])
      _ = try await submit(.bulk)
      #expect(try await fixture.job(bulk.id).jobClass == .interactive)
      #expect(try await fixture.takeOutbox().isEmpty, "Redis knows it in its class")
    }
  }

  @Test func anotherKindOrLaneIsAnotherJob() async throws {
    try await Fixture.run { fixture in
      let first = try await fixture.submitOne()
      let revoke = try await fixture.submit(.grantee("r"), kind: .revoke)
      let lane = try await fixture.read { try await $0.lane(ofDatabase: try await fixture.id("warehouse/main")).id }
      let elsewhere = try await fixture.write {
        try await $0.submit([JobRequest(lane: lane, kind: .subscribe, jobClass: .interactive, scope: .grantee("r"))])
      }
      #expect(Set([first, revoke[0].id, elsewhere[0].id]).count == 3)
    }
  }

  /// The change of the desired state and the coalescing request are one transaction; a claim in its middle must not
  /// start the job, because the job would read the state from before the change.
  @Test func aClaimSkipsAJobThatAProducerIsChanging() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let lane = try await fixture.lane()
      try await fixture.write { producer in
        _ = try await producer.submit([
          JobRequest(lane: lane, kind: .subscribe, jobClass: .interactive, scope: .grantee("r"))
        ])
        let claim = try await fixture.claim([job])
        #expect(claim.busy == [job] && claim.claimed.isEmpty && claim.finished.isEmpty)
      }
      #expect(try await fixture.claim([job], 2).claimed.map(\.id) == [job])
    }
  }

  @Test func thousandsAreSubmittedInOrder() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      let jobs = try await fixture.write { session in
        try await session.submit(
          (0..<2500).map { JobRequest(lane: lane, kind: .revoke, jobClass: .revoke, scope: .grantee("r\($0)")) })
      }
      #expect(Set(jobs.map(\.id)).count == 2500)
      #expect(try await fixture.job(jobs[1234].id).scope == .grantee("r1234"))
    }
  }

  @Test func aCommitWithJobsIsAnnouncedByTheirClasses() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      try await fixture.metadata.dedicated { listener in
        try await listener.listen(to: MetadataSession.outboxChannel)
        try await fixture.write { session in
          _ = try await session.submit([
            JobRequest(lane: lane, kind: .revoke, jobClass: .revoke, scope: .grantee("r")),
            JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .everything),
          ])
        }
        #expect(try await listener.awaitOutbox(atMost: .seconds(10)) == [.revoke, .bulk])
      }
    }
  }

  /// What was paused must not begin because its job was heard of before the rules.
  @Test func anAnnouncementOfMoreThanJobsNamesNoClass() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      try await fixture.metadata.dedicated { listener in
        try await listener.listen(to: MetadataSession.outboxChannel)
        try await fixture.write { session in
          _ = try await session.submit([JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .everything)])
          _ = try await session.connection.query("select pg_notify($1, '')", [.text(MetadataSession.outboxChannel)])
        }
        #expect(try await listener.awaitOutbox(atMost: .seconds(10)) == [])
      }
    }
  }
}
