import Metadata
import Testing

@Suite(.timeLimit(.minutes(2)))
struct QueueRuleTests {
  @Test func aNewInstallationHasOnlyDefaults() async throws {
    try await Fixture.run { fixture in
      let rules = try await fixture.rules()
      #expect(rules.version == 1 && rules.pause == nil && rules.mostLanes == 16)
      #expect(rules.connections.isEmpty && rules.lanes.isEmpty)
    }
  }

  @Test func aPauseIsKeptWithWhoAndSinceWhenUntilItIsResumed() async throws {
    try await Fixture.run { fixture in
      #expect(try await fixture.write { try await $0.pauseQueue(by: "ana") })
      let pause = try #require(try await fixture.rules().pause)
      #expect(pause.by == "ana" && pause.since.hasSuffix("Z"))
      #expect(try await fixture.write { try await $0.resumeQueue() })
      #expect(try await fixture.rules().pause == nil)
    }
  }

  @Test func theSamePauseAgainChangesNothing() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      for (name, isChange) in [("ana", true), ("bob", false)] {
        #expect(try await fixture.write { try await $0.pauseQueue(by: name) } == isChange)
        #expect(try await fixture.write { try await $0.pause(lane: lane, by: name) } == isChange)
      }
      let rules = try await fixture.rules()
      #expect(rules.version == 3)
      #expect(rules.pause?.by == "ana" && rules.lanes[lane]?.pause?.by == "ana")
    }
  }

  @Test func aPausedLaneSaysWhichConnectionParksIt() async throws {
    try await Fixture.run { fixture in
      let governance = try await fixture.read { try await $0.lane(.governance, of: fixture.connection.id).id }
      let roles = try await fixture.lane()
      for lane in [governance, roles] { _ = try await fixture.write { try await $0.pause(lane: lane, by: "ana") } }
      let lanes = try await fixture.rules().lanes
      #expect(lanes[governance]?.parkedBy == 0)
      #expect(lanes[roles]?.parkedBy == fixture.connection.id)
    }
  }

  @Test func weightsAndNumbersOfLanesAreKept() async throws {
    try await Fixture.run { fixture in
      let (lane, target) = (try await fixture.lane(), fixture.connection.id)
      #expect(try await fixture.write { try await $0.setWeight(5, ofLane: lane) })
      #expect(try await fixture.write { try await $0.setWeight(3, ofConnection: target) })
      #expect(try await fixture.write { try await $0.setMostLanes(2, ofConnection: target) })
      #expect(try await fixture.write { try await $0.setMostLanes(40) })
      let rules = try await fixture.rules()
      #expect(rules.version == 5 && rules.mostLanes == 40)
      #expect(rules.connections[target]?.weight == 3 && rules.connections[target]?.mostLanes == 2)
      #expect(rules.lanes[lane]?.weight == 5)
    }
  }

  @Test func whatIsAtItsDefaultAgainIsNoRule() async throws {
    try await Fixture.run { fixture in
      let (lane, target) = (try await fixture.lane(), fixture.connection.id)
      #expect(try await fixture.write { try await $0.setWeight(1, ofLane: lane) } == false)
      #expect(try await fixture.write { try await $0.setWeight(1, ofConnection: target) } == false)
      #expect(try await fixture.write { try await $0.setMostLanes(nil, ofConnection: target) } == false)
      _ = try await fixture.write { try await $0.setWeight(2, ofLane: lane) }
      _ = try await fixture.write { try await $0.setMostLanes(2, ofConnection: target) }
      #expect(try await fixture.write { try await $0.setWeight(1, ofLane: lane) })
      #expect(try await fixture.write { try await $0.setMostLanes(nil, ofConnection: target) })
      let rules = try await fixture.rules()
      #expect(rules.connections.isEmpty && rules.lanes.isEmpty)
      #expect(rules.version == 5, "a change back is a change: Redis has to be told")
    }
  }

  @Test func rulesOfADeletedConnectionDoNotCount() async throws {
    try await Fixture.run { fixture in
      let (lane, target) = (try await fixture.lane(), fixture.connection.id)
      _ = try await fixture.write { try await $0.pause(lane: lane, by: "ana") }
      _ = try await fixture.write { try await $0.setWeight(3, ofConnection: target) }
      try await fixture.write { try await $0.finishDeletion(of: target) }
      let rules = try await fixture.rules()
      #expect(rules.connections.isEmpty && rules.lanes.isEmpty)
    }
  }

  @Test func aChangeIsAnnouncedToSchedulers() async throws {
    try await Fixture.run { fixture in
      try await fixture.metadata.dedicated { listener in
        try await listener.listen(to: MetadataSession.outboxChannel)
        _ = try await fixture.write { try await $0.pauseQueue(by: "ana") }
        let heard = try await listener.connection.notifications(deadline: .after(.seconds(10)))
        #expect(heard.map(\.channel) == [MetadataSession.outboxChannel])
      }
    }
  }

  @Test func concurrentChangesEachRaiseTheVersion() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for weight in 2...9 {
          group.addTask { _ = try await fixture.write { try await $0.setWeight(weight, ofLane: lane) } }
        }
        try await group.waitForAll()
      }
      #expect(try await fixture.rules().version == 9)
    }
  }
}

extension Fixture {
  fileprivate func rules() async throws -> StoredQueueRules { try await read { try await $0.queueRules() } }
}
