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
      #expect(first.first == revoke[0].id && first[1...] == bulk.map(\.id).sorted()[..<100])
      #expect(try await fixture.read { try await $0.queueState() }.outboxClasses == [.bulk])
      #expect(try await fixture.takeOutbox(limit: 1500).count == 1400)
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
      _ = try await fixture.takeRefill(epoch: 2)
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
      #expect(try await fixture.takeRefill(epoch: 2).map(\.id) == [jobs[1], jobs[2]])
      #expect(try await fixture.takeRefill(epoch: 2).isEmpty)
      #expect(try await fixture.read { try await $0.queueState() }.waitingClasses == [])
    }
  }

  @Test func aRefillGoesByPagesAndKeepsDelays() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("a"), .grantee("b"), .grantee("c")).map(\.id)
      _ = try await fixture.claim([jobs[1]])
      try await fixture.settle(jobs[1], .retryable(.seconds(60)))
      _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      let first = try await fixture.takeRefill(epoch: 2, limit: 2)
      #expect(first.map(\.id) == Array(jobs[..<2]))
      #expect(first[1].delay.map { $0 > .seconds(50) } == true)
      #expect(try await fixture.takeRefill(epoch: 2, limit: 2).map(\.id) == [jobs[2]])
    }
  }

  /// What an outdated scheduler tells Redis may be forgotten there: the new epoch's refill must not pass it over.
  @Test func aSchedulerOfAnOlderEpochTakesNothing() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.takeOutbox()
      _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      let new = try await fixture.submit(.grantee("s"))[0].id
      #expect(try await fixture.takeRefill(epoch: 1).isEmpty)
      #expect(try await fixture.takeOutbox(epoch: 1).isEmpty)
      #expect(try await fixture.takeRefill(epoch: 2).map(\.id) == [job, new])
      #expect(try await fixture.takeOutbox(epoch: 2).map(\.id) == [new])
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
      // The server ends a session a moment after its client has gone.
      try await fixture.metadata.dedicated { next async throws in
        while try await !next.tryToKeepQueue() {}
      }
    }
  }
}

/// Whose jobs are told first.
@Suite(.timeLimit(.minutes(2)))
struct OutboxTurnTests {
  /// Connections besides the fixture's, and the roles lane of each.
  private static func addConnections(_ count: Int, _ fixture: Fixture) async throws -> [(id: Int64, lane: Int64)] {
    var added: [(id: Int64, lane: Int64)] = []
    for number in 0..<count {
      let id = try await fixture.write {
        try await $0.insert(Fixture.draft("c\(number)"), secret: Secret("s"), key: fixture.key).id
      }
      added.append((id, try await fixture.read { try await $0.lane(.roles, of: id).id }))
    }
    return added
  }

  private static func submit(_ count: Int, to lane: Int64, _ fixture: Fixture) async throws -> [SubmittedJob] {
    try await fixture.write { session in
      try await session.submit(
        (0..<count).map { JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: .grantee("r\($0)")) })
    }
  }

  /// Pages until there are no more, each the jobs by connection.
  private static func pages(
    _ fixture: Fixture, limit: Int, refill: Bool = false, epoch: Int64 = 1, without: Set<Int64> = []
  ) async throws -> [[Int64: Int]] {
    var pages: [[Int64: Int]] = []
    var page = OutboxPage()
    repeat {
      let after = page.next
      page = try await fixture.write { session in
        refill
          ? try await session.takeRefill(.bulk, epoch: epoch, limit: limit, after: after, without: without)
          : try await session.takeOutbox(.bulk, epoch: epoch, limit: limit, after: after, without: without)
      }
      pages.append(page.jobs.reduce(into: [:]) { $0[$1.parkedBy, default: 0] += 1 })
      try #require(pages.count < 100, "the pages have no end")
    } while page.hasMore
    return pages
  }

  @Test func aBacklogOfOneConnectionDoesNotStandBeforeAnothersFirstJob() async throws {
    try await Fixture.run { fixture async throws in
      let other = try await Self.addConnections(1, fixture)[0]
      _ = try await Self.submit(2500, to: fixture.lane(), fixture)
      _ = try await Self.submit(1, to: other.lane, fixture)
      let pages = try await Self.pages(fixture, limit: 200)
      #expect(pages.first == [fixture.connection.id: 100, other.id: 1])
      #expect(pages.reduce(0) { $0 + ($1[fixture.connection.id] ?? 0) } == 2500)
    }
  }

  /// More connections than share a page: each has its turn before any has a second one, wherever the round began.
  @Test(arguments: [false, true]) func allConnectionsHaveTheirTurn(refill: Bool) async throws {
    try await Fixture.run { fixture async throws in
      let connections = try await Self.addConnections(25, fixture)
      for connection in connections { _ = try await Self.submit(250, to: connection.lane, fixture) }
      if refill { _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") } }
      let pages = try await Self.pages(fixture, limit: 1000, refill: refill, epoch: refill ? 2 : 1)
      var first: [Int64: Int] = [:]
      for (number, page) in pages.enumerated() {
        #expect(page.values.allSatisfy { $0 <= 250 } && page.values.reduce(0, +) <= 1500)
        for connection in page.keys where first[connection] == nil { first[connection] = number }
      }
      #expect(first.count == 25 && first.values.max() == 2)
      #expect(pages.reduce(0) { $0 + $1.values.reduce(0, +) } == 25 * 250)
    }
  }

  @Test(arguments: [false, true]) func fullConnectionsArePassedOverAndKeepTheirJobs(refill: Bool) async throws {
    try await Fixture.run { fixture async throws in
      let others = try await Self.addConnections(2, fixture)
      for lane in [try await fixture.lane()] + others.map(\.lane) { _ = try await Self.submit(300, to: lane, fixture) }
      if refill { _ = try await fixture.write { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") } }
      let epoch: Int64 = refill ? 2 : 1
      let full: Set<Int64> = [fixture.connection.id, others[1].id]
      let pages = try await Self.pages(fixture, limit: 100, refill: refill, epoch: epoch, without: full)
      #expect(Set(pages.flatMap(\.keys)) == [others[0].id])
      let rest = try await Self.pages(fixture, limit: 100, refill: refill, epoch: epoch)
      #expect(Set(rest.flatMap(\.keys)) == full && rest.reduce(0) { $0 + $1.values.reduce(0, +) } == 600)
    }
  }

  /// Governance lanes are no connection's there: a full one does not hold up its own evaluations.
  @Test func producersOfAFullConnectionAreToldAndOthersAreNot() async throws {
    try await Fixture.run { fixture async throws in
      let other = try await Self.addConnections(1, fixture)[0]
      let own = fixture.connection.id
      #expect(try await fixture.write { try await $0.noteConnections([own], areFull: true) } == [own])
      #expect(try await fixture.write { try await $0.noteConnections([own], areFull: true) } == [])
      #expect(try await fixture.read { try await $0.queueState() }.fullConnections == [own])
      let lane = try await fixture.lane()
      #expect(try await Self.submit(2, to: lane, fixture).map(\.isQueueFull) == [true, true])
      #expect(try await Self.submit(1, to: other.lane, fixture).map(\.isQueueFull) == [false])
      let evaluations = try await fixture.write { try await $0.submitEvaluations(of: [own]) }
      #expect(evaluations.map(\.isQueueFull) == [false])
      #expect(try await fixture.read { try await $0.hasRoom(for: [lane]) } == false)
      #expect(try await fixture.read { try await $0.hasRoom(for: [other.lane]) })
      #expect(try await fixture.write { try await $0.noteConnections([own, other.id], areFull: false) } == [own])
      #expect(try await Self.submit(1, to: lane, fixture).map(\.isQueueFull) == [false])
    }
  }

  /// As when no scheduler runs.
  @Test func producersAreToldWhenTheOutboxGrowsTooLong() async throws {
    try await Fixture.run { fixture async throws in
      let other = try await Self.addConnections(1, fixture)[0]
      try await fixture.execute(
        """
        insert into outbox (class, parked_by, kind, size, first_job, last_job, jobs, lanes)
        select 2, \(fixture.connection.id), 'sync', 1, n, n, array[n], array[1] from generate_series(1, 10000) n
        """)
      let lane = try await fixture.lane()
      #expect(try await Self.submit(1, to: lane, fixture).map(\.isQueueFull) == [false])
      #expect(try await Self.submit(2, to: lane, fixture).map(\.isQueueFull) == [true, true])
      #expect(try await Self.submit(1, to: other.lane, fixture).map(\.isQueueFull) == [false])
    }
  }
}
