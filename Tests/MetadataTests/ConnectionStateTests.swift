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
