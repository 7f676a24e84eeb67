import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct OutboxTests {
  @Test func whatIsTakenDoesNotComeAgain() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let first = try await fixture.takeOutbox()
      #expect(first.map(\.id) == [job])
      #expect(first.first?.parkedBy == fixture.connection.id && first.first?.kind == .subscribe)
      #expect(try await fixture.takeOutbox().isEmpty)
    }
  }

  @Test func whatRedisWasNotToldOfStays() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      await #expect(throws: Unreachable.self) {
        try await fixture.write { session in
          _ = try await session.takeOutbox(.interactive, epoch: 1, limit: 10)
          throw Unreachable()
        }
      }
      #expect(try await fixture.takeOutbox().map(\.id) == [job])
    }
  }

  private struct Unreachable: Error {}

  @Test func oneSchedulerAtATimeEmptiesIt() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      try await fixture.write { first in
        _ = try await first.takeOutbox(.interactive, epoch: 1, limit: 10)
        #expect(try await fixture.takeOutbox().isEmpty)
      }
      _ = try await fixture.submit(.grantee("s"))
      #expect(try await fixture.takeOutbox().contains { $0.id == job } == false)
    }
  }

  @Test func workersMayClaimWhatIsJustBeingEnqueued() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      try await fixture.write { scheduler in
        _ = try await scheduler.takeOutbox(.interactive, epoch: 1, limit: 10)
        #expect(try await fixture.claim([job]).claimed.map(\.id) == [job])
      }
    }
  }

  @Test func governanceIsParkedByNoConnection() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.write { try await $0.submitEvaluations(of: [fixture.connection.id]) }
      #expect(try await fixture.takeOutbox().map(\.parkedBy) == [0])
    }
  }

  /// A revoke behind a million others is told first: its class has an outbox of its own.
  @Test func eachClassIsTakenByItselfRevokesFirst() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      let bulk = try await fixture.write { session in
        try await session.submit(
          (0..<1500).map { JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .grantee("r\($0)")) })
      }
      let revoke = try await fixture.write { session in
        try await session.submit([JobRequest(lane: lane, kind: .revoke, jobClass: .revoke, scope: .grantee("r"))])
      }
      #expect(try await fixture.read { try await $0.queueState() }.outboxClasses == [.revoke, .bulk])
      let first = try await fixture.takeOutbox(limit: 100).map(\.id)
      #expect(first.first == revoke[0].id && first.count == 1001 && Set(first[1...]).isSubset(of: bulk.map(\.id)))
      #expect(try await fixture.read { try await $0.queueState() }.outboxClasses == [.bulk])
      #expect(try await fixture.takeOutbox(limit: 100).count == 500)
      #expect(try await fixture.read { try await $0.queueState() }.outboxClasses == [])
    }
  }

  @Test func aJobSaysWhetherRedisHasBeenToldOfIt() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      #expect(try await fixture.job(job).isEnqueued == false)
      _ = try await fixture.takeOutbox()
      #expect(try await fixture.job(job).isEnqueued)
      _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(try await fixture.job(job).isEnqueued == false)
      _ = try await fixture.takeOutbox(epoch: 2)
      #expect(try await fixture.job(job).isEnqueued)
    }
  }

  @Test func aNewEpochEnqueuesEverythingUnfinishedAgain() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("a"), .grantee("b"), .grantee("c")).map(\.id)
      _ = try await fixture.takeOutbox()
      _ = try await fixture.claim([jobs[0], jobs[1]])
      try await fixture.settle(jobs[0], .completed)
      let raised = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(raised == 2)
      #expect(try await fixture.takeOutbox(epoch: 2).map(\.id) == [jobs[1], jobs[2]])
      #expect(try await fixture.takeOutbox(epoch: 2).isEmpty)
    }
  }

  @Test func aRefillGoesByPagesAndKeepsDelays() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("a"), .grantee("b"), .grantee("c")).map(\.id)
      _ = try await fixture.claim([jobs[1]])
      try await fixture.settle(jobs[1], .retryable(.seconds(60)))
      _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      let first = try await fixture.takeOutbox(epoch: 2, limit: 2)
      #expect(first.map(\.id) == Array(jobs[..<2]))
      #expect(first[1].delay.map { $0 > .seconds(50) } == true)
      #expect(try await fixture.takeOutbox(epoch: 2, limit: 2).map(\.id) == [jobs[2]])
    }
  }

  /// What an outdated scheduler tells Redis may be forgotten there: the new epoch's refill must not pass it over.
  @Test func aSchedulerOfAnOlderEpochTakesNothingFromARefill() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.takeOutbox()
      _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(try await fixture.takeOutbox(epoch: 1).isEmpty)
      #expect(try await fixture.takeOutbox(epoch: 2).map(\.id) == [job])
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

  /// On a Unix socket they have no effect, but they are told.
  @Test func theServerLooksAfterSessionsWithLocks() async throws {
    try await Fixture.run { fixture in
      let settings = try await fixture.metadata.dedicated { session in
        try await session.connection.query(
          "select reset_val from pg_settings where name like 'tcp_keepalives_%' order by name"
        ).rows.map { try $0.text("reset_val") }
      }
      #expect(settings == ["3", "10", "5"])
    }
  }

  /// As when its process is stopped: nobody could take the lead until somebody ended it.
  @Test func aSilentSessionLosesItsLocks() async throws {
    try await Fixture.run { fixture in
      try await fixture.metadata.dedicated(longestSilence: .milliseconds(200)) { silent async throws in
        #expect(try await silent.tryToLead())
        try await fixture.metadata.dedicated { other async throws in
          while try await !other.tryToLead() {}
        }
        await #expect(throws: PostgresError.self) { try await silent.tryToLead() }
      }
    }
  }

  @Test func onlyOneSessionKeepsTheQueueAndTheLeadIsAnother() async throws {
    try await Fixture.run { fixture in
      try await fixture.metadata.dedicated { keeper async throws in
        #expect(try await keeper.tryToKeepQueue())
        #expect(try await keeper.tryToKeepQueue(), "again")
        let other = try await fixture.metadata.dedicated { (try await $0.tryToKeepQueue(), try await $0.tryToLead()) }
        #expect(other == (false, true))
      }
      #expect(try await fixture.metadata.dedicated { try await $0.tryToKeepQueue() })
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
