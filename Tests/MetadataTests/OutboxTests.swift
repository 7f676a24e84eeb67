import Metadata
import Platform
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct OutboxTests {
  @Test func whatIsMarkedDoesNotComeAgain() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let first = try await fixture.write { session in
        let jobs = try await session.outbox(epoch: 1, limit: 10)
        try await session.markEnqueued(jobs ?? [], epoch: 1)
        return jobs
      }
      #expect(first?.map(\.id) == [job])
      #expect(first?.first?.parkedBy == fixture.connection.id)
      #expect(try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) }?.isEmpty == true)
    }
  }

  @Test func oneSchedulerAtATimeEmptiesIt() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.submitOne()
      try await fixture.write { first in
        _ = try await first.outbox(epoch: 1, limit: 10)
        #expect(try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) } == nil)
      }
      #expect(try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) }?.count == 1)
    }
  }

  @Test func workersMayClaimWhatIsJustBeingEnqueued() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      try await fixture.write { scheduler in
        _ = try await scheduler.outbox(epoch: 1, limit: 10)
        #expect(try await fixture.claim([job]).claimed.map(\.id) == [job])
      }
    }
  }

  @Test func governanceIsParkedByNoConnection() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.write { try await $0.submitEvaluations(of: [fixture.connection.id]) }
      #expect(try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) }?.map(\.parkedBy) == [0])
    }
  }

  @Test func aJobThatIsDueLaterSaysSo() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .retryable(.seconds(60)))
      let delay = try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) }?.first?.delay
      #expect(delay.map { $0 > .seconds(50) } == true)
    }
  }

  @Test func aNewEpochEnqueuesEverythingUnfinishedAgain() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("a"), .grantee("b"), .grantee("c")).map(\.id)
      try await fixture.write { session in
        try await session.markEnqueued(try await session.outbox(epoch: 1, limit: 10) ?? [], epoch: 1)
      }
      _ = try await fixture.claim([jobs[0], jobs[1]])
      try await fixture.settle(jobs[0], .completed)
      let raised = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(raised == 2)
      let again = try await fixture.write { try await $0.outbox(epoch: 2, limit: 10) }
      #expect(again?.map(\.id) == [jobs[1], jobs[2]])
    }
  }

  /// It was worked while the scheduler still wrote that it is enqueued, and Redis has forgotten it again.
  @Test func aJobThatWasRetriedSinceIsNotMarked() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let told = try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) ?? [] }
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .discarded)
      _ = try await fixture.write { try await $0.retryJob(id: job) }
      try await fixture.write { try await $0.markEnqueued(told, epoch: 1) }
      #expect(try await fixture.write { try await $0.outbox(epoch: 1, limit: 10) }?.map(\.id) == [job])
    }
  }

  @Test func ofTwoSchedulersThatFindRedisEmptyOneRaisesTheEpoch() async throws {
    try await Fixture.run { fixture in
      let first = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      let second = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(first == 2)
      #expect(second == nil)
    }
  }

  @Test func theEpochRisesAboveWhatRedisClaims() async throws {
    try await Fixture.run { fixture async throws in
      #expect(try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: 7, redisRunID: nil) } == 8)
    }
  }

  @Test func onlyOneSessionLeads() async throws {
    try await Fixture.run { fixture in
      try await fixture.metadata.dedicated { leader async throws in
        #expect(try await leader.tryToLead())
        #expect(try await leader.tryToLead(), "again")
        let isSecond = try await fixture.metadata.dedicated { try await $0.tryToLead() }
        #expect(isSecond == false)
      }
    }
  }
}

@Suite(.timeLimit(.minutes(2)))
struct ConnectionStateTests {
  @Test func aChangeIsToldOnceAndItsReasonRefreshed() async throws {
    try await Fixture.run { fixture async throws in
      let id = fixture.connection.id
      #expect(try await fixture.write { try await $0.setState(of: id, to: .stopped, reason: "a") })
      #expect(try await fixture.write { try await $0.setState(of: id, to: .stopped, reason: "a") } == false)
      #expect(try await fixture.read { try await $0.connection(id: id) }.stateReason == "a")
    }
  }

  @Test func workersDoNotOverrideAnOperator() async throws {
    try await Fixture.run { fixture in
      let id = fixture.connection.id
      _ = try await fixture.write { try await $0.setState(of: id, to: .inactive, reason: nil) }
      #expect(
        try await fixture.write { try await $0.setState(of: id, to: .active, reason: nil, unless: [.inactive]) }
          == false)
    }
  }

  @Test func aStoppedConnectionIsProbedWhenItsTimeHasCome() async throws {
    try await Fixture.run { fixture in
      let id = fixture.connection.id
      _ = try await fixture.write { try await $0.setState(of: id, to: .stopped, reason: nil) }
      #expect(try await fixture.read { try await $0.dueProbes(limit: 5) }.map(\.failures) == [0])
      try await fixture.write { try await $0.planProbe(of: id, after: .seconds(60)) }
      #expect(try await fixture.read { try await $0.dueProbes(limit: 5) }.isEmpty)
      try await fixture.execute("update connection set probe_at = now()")
      #expect(try await fixture.read { try await $0.dueProbes(limit: 5) }.map(\.failures) == [1])
    }
  }

  @Test func aSyncIsDueAfterItsIntervalAndNotBeforeTheFirst() async throws {
    try await Fixture.run { fixture async throws in
      #expect(try await fixture.read { try await $0.connectionsDueForSync(limit: 5) } == [])
      try await fixture.execute("update connection set synced_at = now() - interval '2 hours'")
      #expect(try await fixture.read { try await $0.connectionsDueForSync(limit: 5) } == [fixture.connection.id])
    }
  }

  @Test func aConnectionWhoseFirstSyncFailedIsSyncedAgain() async throws {
    try await Fixture.run { fixture async throws in
      try await fixture.execute(
        "update connection set synced_at = null, created_at = now() - interval '2 hours'")
      #expect(try await fixture.read { try await $0.connectionsDueForSync(limit: 5) } == [fixture.connection.id])
    }
  }

  @Test func aConnectionThatLeadsElsewhereIsSyncedAndCompared() async throws {
    try await Fixture.run { fixture in
      var changed = fixture.connection
      changed.host = "elsewhere"
      let update = changed
      let jobs = try await fixture.write { try await $0.update(update) }
      var scopes: [String] = []
      for job in jobs { scopes.append(try await fixture.job(job.id).scope.subject.rawValue) }
      #expect(scopes.sorted() == ["connection", "everything", "everything", "governance"])
    }
  }

  @Test func anUpdateThatChangesNoAccessNeedsNoJobs() async throws {
    try await Fixture.run { fixture in
      var changed = fixture.connection
      changed.syncEverySeconds = 120
      let update = changed
      let jobs = try await fixture.write { try await $0.update(update) }
      #expect(jobs == [])
    }
  }

  @Test func dataSourcesDisabledByAnUpdateAreRevoked() async throws {
    try await Fixture.run { fixture in
      var changed = fixture.connection
      changed.enablesNewDataSources = false
      let update = changed
      let jobs = try await fixture.write { try await $0.update(update) }
      var kinds: [JobKind] = []
      for job in jobs { kinds.append(try await fixture.job(job.id).kind) }
      #expect(kinds == [.revoke, .revoke, .evaluate])
    }
  }

  @Test func anUpdateChangesWhatAnOperatorMayChange() async throws {
    try await Fixture.run { fixture in
      var changed = fixture.connection
      changed.host = "elsewhere"
      changed.syncEverySeconds = 120
      changed.enablesNewDataSources = false
      let update = changed
      _ = try await fixture.write { try await $0.update(update) }
      let stored = try await fixture.read { try await $0.connection(named: "warehouse") }
      #expect(stored.host == "elsewhere" && stored.syncEverySeconds == 120 && !stored.enablesNewDataSources)
    }
  }

  @Test(arguments: ["data", "Settings", "with space", "", String(repeating: "x", count: 64)])
  func aNameThatCannotBeAnAddressIsRefused(name: String) throws {
    #expect(throws: MetadataError.self) { try Connection.validate(name: name) }
  }
}
