import Metadata
import Platform
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ClaimTests {
  @Test func anAvailableJobIsClaimedOnce() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      let claim = try await fixture.claim([job])
      #expect(claim.claimed.map(\.scope) == [.grantee("r")])
      let stored = try await fixture.job(job)
      #expect(stored.state == .running && stored.worker == "w" && stored.startedAt != nil)
    }
  }

  @Test func theSameFenceMayClaimAgainAndIsNoStall() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      #expect(try await fixture.claim([job], 1).claimed.map(\.id) == [job])
      #expect(try await fixture.job(job).stalls == 0)
    }
  }

  /// As after a failover to a replica that lacks the last leases, which are given out again with their fences.
  @Test func theSameFenceOfAnotherWorkerIsRefusedUntilItIsReleased() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      let other = try await fixture.claim([job], 1, worker: "v")
      #expect(other.claimed.isEmpty && other.busy == [job])
      try await fixture.settle(job, .retryable(.zero), 1)
      for worker in ["v", "w"] { #expect(try await fixture.claim([job], 1, worker: worker).busy == [job]) }
      #expect(try await fixture.claim([job], 2, worker: "v").claimed.map(\.id) == [job])
      try await fixture.write { try await $0.release([job], fence: Fence(epoch: 1, sequence: 2)) }
      #expect(try await fixture.claim([job], 2, worker: "v").claimed.map(\.id) == [job])
    }
  }

  @Test func aLaterFenceTakesOverAndCountsAStall() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      #expect(try await fixture.claim([job], 2).claimed.map(\.id) == [job])
      #expect(try await fixture.job(job).stalls == 1)
    }
  }

  @Test func anOlderFenceIsRefused() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 2)
      let late = try await fixture.claim([job], 1)
      #expect(late.claimed.isEmpty && late.finished == [job])
      #expect(try await fixture.settle(job, .completed, 2) == [job: .completed], "the later fence still holds it")
    }
  }

  @Test func aJobBeforeItsTimeIsEarly() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .retryable(.seconds(60)), 1)
      let claim = try await fixture.claim([job], 2)
      let remaining = try #require(claim.early[job])
      #expect(remaining > .seconds(50) && remaining <= .seconds(60))
    }
  }

  @Test func finishedAndUnknownNumbersLeaveTheQueue() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .completed, 1)
      #expect(try await fixture.claim([job, 999_999], 2).finished == [job, 999_999])
    }
  }

  /// The worker that stalled may be writing its result at this very moment; it may also fail to. Until that is known
  /// the number must stay in the queue.
  @Test func aStalledJobWhoseRowIsLockedComesBack() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.write { old in
        _ = try await old.settle([JobResult(id: job, outcome: .completed)], fence: Fence(epoch: 1, sequence: 1))
        let claim = try await fixture.claim([job], 2)
        #expect(claim.busy == [job] && claim.finished.isEmpty)
      }
    }
  }

  @Test func claimsOfOneLaneAtATimeNeverShareAJob() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.lane()
      let jobs = try await fixture.write { session in
        try await session.submit(
          (0..<200).map { JobRequest(lane: lane, kind: .revoke, jobClass: .revoke, scope: .grantee("r\($0)")) })
      }.map(\.id).sorted()
      async let one = fixture.claim(jobs, 1)
      async let two = fixture.claim(jobs, 1, worker: "v")
      let claims = try await [one, two]
      #expect(claims.flatMap { $0.claimed.map(\.id) }.sorted() == jobs)
      #expect(claims.flatMap(\.busy).sorted() == jobs)
    }
  }
}
