import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

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
      #expect(try await fixture.read { try await $0.dueProbes(limit: 5) }.isEmpty, "it is about to be parked")
      try await fixture.execute("update connection set probe_at = now()")
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

  @Test func aSweepIsDueAfterItsIntervalUnlessThereAreToBeNone() async throws {
    try await Fixture.run { fixture in
      func due() async throws -> [Int64] { try await fixture.read { try await $0.connectionsDueForSweep(limit: 5) } }
      try await fixture.execute("update connection set synced_at = null, created_at = now() - interval '2 hours'")
      #expect(try await due() == [], "nothing was granted before the first sync")
      try await fixture.execute("update connection set synced_at = now() - interval '6 minutes'")
      #expect(try await due() == [fixture.connection.id])
      try await fixture.write { try await $0.postponeSweep(of: fixture.connection.id) }
      #expect(try await due() == [])
      try await fixture.execute("update connection set swept_at = now() - interval '6 minutes'")
      #expect(try await due() == [fixture.connection.id])
      var changed = fixture.connection
      changed.sweepEverySeconds = 0
      let update = changed
      _ = try await fixture.write { try await $0.update(update) }
      #expect(try await due() == [])
    }
  }

  @Test func aSweepIsOfEachLaneThatHasATargetAndCoalesces() async throws {
    try await Fixture.run { fixture in
      let id = fixture.connection.id
      let jobs = try await fixture.write { try await $0.submitSweep(of: id) }
      var lanes: [LaneKind] = []
      for job in jobs { lanes.append(try await fixture.job(job.id).lane.kind) }
      #expect(Set(lanes) == [.roles, .database])
      #expect(try await fixture.write { try await $0.submitSweep(of: id) }.allSatisfy { !$0.isNew })
    }
  }

  @Test func anotherModeOrAnotherPlaceMakesTheNextSweepAWholeOne() async throws {
    try await Fixture.run { fixture in
      let mark = SweepMark(horizon: 7, serverStart: "then")
      let lane = try await fixture.read { try await $0.lanes(of: fixture.connection.id) }[0].id
      var changed = fixture.connection
      func isKept() async throws -> Bool {
        let update = changed
        return try await fixture.write { session in
          try await session.note(mark, of: lane)
          _ = try await session.update(update)
          return try await session.sweepMark(of: lane) == mark
        }
      }
      changed.syncEverySeconds = 120
      #expect(try await isKept())
      changed.driftMode = .observe
      #expect(try await isKept() == false)
      #expect(try await isKept())
      changed.host = "elsewhere"
      #expect(try await isKept() == false)
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
      (changed.driftMode, changed.sweepEverySeconds) = (.observe, 90)
      let update = changed
      _ = try await fixture.write { try await $0.update(update) }
      let stored = try await fixture.read { try await $0.connection(named: "warehouse") }
      #expect(stored.host == "elsewhere" && stored.syncEverySeconds == 120 && !stored.enablesNewDataSources)
      #expect(stored.driftMode == .observe && stored.sweepEverySeconds == 90)
    }
  }

  @Test(arguments: ["data", "Settings", "with space", "", String(repeating: "x", count: 64)])
  func aNameThatCannotBeAnAddressIsRefused(name: String) throws {
    #expect(throws: MetadataError.self) { try Connection.validate(name: name) }
  }
}
