import Metadata
import Platform
import Postgres
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SettleTests {
  @Test func aStaleFenceChangesNothing() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      _ = try await fixture.claim([job], 2)
      #expect(try await fixture.settle(job, .completed, 1) == [:])
      #expect(try await fixture.job(job).state == .running)
      #expect(try await fixture.read { try await $0.attempts(of: job) }.map(\.outcome) == ["stalled"])
    }
  }

  @Test func aFailureIsCountedAndRecordedAsAnAttempt() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .retryable(.seconds(5)))
      let stored = try await fixture.job(job)
      #expect(stored.state == .retryable && stored.attempt == 1 && stored.error == "it failed")
      #expect(try await fixture.read { try await $0.attempts(of: job) }.map(\.outcome) == ["retryable"])
    }
  }

  @Test func aSnoozeIsNotCounted() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .snoozed(.seconds(5)))
      let stored = try await fixture.job(job)
      #expect(stored.state == .scheduled && stored.attempt == 0)
    }
  }

  @Test(arguments: [
    (JobResult.Outcome.completed, JobState.completed), (.discarded, .discarded), (.cancelled, .cancelled),
  ])
  func aFinalOutcomeFinishes(outcome: JobResult.Outcome, state: JobState) async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, outcome)
      let stored = try await fixture.job(job)
      #expect(stored.state == state && stored.finishedAt != nil)
    }
  }

  @Test func settlingTwiceUnderOneFenceChangesNothingTheSecondTime() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      #expect(try await fixture.settle(job, .completed) == [job: .completed])
      #expect(try await fixture.settle(job, .discarded) == [:])
      #expect(try await fixture.job(job).state == .completed)
    }
  }

  @Test func aReleaseIsAsIfNothingHadHappened() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.write { try await $0.release([job], fence: Fence(epoch: 1, sequence: 1)) }
      let stored = try await fixture.job(job)
      #expect(stored.state == .available && stored.attempt == 0 && stored.stalls == 0 && stored.worker == nil)
      #expect(try await fixture.claim([job], 2).claimed.count == 1)
      #expect(try await fixture.job(job).stalls == 0)
    }
  }

  @Test func aReleaseUnderAStaleFenceLeavesTheJobWithItsNewWorker() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      _ = try await fixture.claim([job], 2)
      try await fixture.write { try await $0.release([job], fence: Fence(epoch: 1, sequence: 1)) }
      #expect(try await fixture.job(job).state == .running)
    }
  }

  @Test func aDiscardedJobIsRetriedAsIfNew() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .discarded)
      _ = try await fixture.write { try await $0.retryJob(id: job) }
      let stored = try await fixture.job(job)
      #expect(stored.state == .available && stored.attempt == 0 && stored.error == nil && !stored.isEnqueued)
    }
  }

  @Test func theAttemptThatEndsAJobIsToldByItsOwnRow() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .retryable(.zero), 1)
      _ = try await fixture.claim([job], 2, worker: "second")
      try await fixture.settle(job, .completed, 2)
      let attempts = try await fixture.read { try await $0.attempts(of: job) }
      #expect(attempts.map(\.outcome) == ["retryable", "completed"])
      #expect(attempts.map(\.worker) == ["w", "second"] && attempts.map(\.number) == [1, 2])
      #expect(try await fixture.rows("select from job_attempt").count == 1)
    }
  }

  @Test func aRetriedJobKeepsTheAttemptThatHadEndedIt() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .discarded, 1)
      _ = try await fixture.write { try await $0.retryJob(id: job) }
      _ = try await fixture.claim([job], 2)
      try await fixture.settle(job, .completed, 2)
      let attempts = try await fixture.read { try await $0.attempts(of: job) }
      #expect(attempts.map(\.outcome) == ["discarded", "completed"] && attempts[0].error == "it failed")
    }
  }

  @Test func theLastAttemptThatFailsDiscards() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      try await fixture.execute("update job set max_attempts = 2")
      for (sequence, state) in [(Int64(1), JobState.retryable), (2, .discarded)] {
        _ = try await fixture.claim([job], sequence)
        #expect(try await fixture.settle(job, .retryable(.zero), sequence) == [job: state])
      }
      let stored = try await fixture.job(job)
      #expect(stored.state == .discarded && stored.finishedAt != nil && stored.attempt == 2)
      #expect(stored.error?.hasPrefix("it failed; given up after 2 attempts") == true)
      #expect(stored.remedy?.hasSuffix("sluice job retry \(job)") == true)
    }
  }

  @Test func aJobThatFailsForLongerThanTheLimitIsDiscarded() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      #expect(try await fixture.settle(job, .retryable(.zero), 1) == [job: .retryable])
      try await fixture.execute("update job set failing_since = now() - interval '2 hours'")
      _ = try await fixture.claim([job], 2)
      #expect(try await fixture.settle(job, .retryable(.zero), 2, retryLimit: .seconds(3600)) == [job: .discarded])
    }
  }

  /// It waited two hours beyond its time, such as for a stopped instance: the limit moves on by as much.
  @Test func waitingDoesNotCountAsFailing() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .retryable(.zero), 1)
      try await fixture.execute(
        "update job set failing_since = now() - interval '2 hours', scheduled_at = now() - interval '2 hours'")
      _ = try await fixture.claim([job], 2)
      #expect(try await fixture.settle(job, .snoozed(.zero), 2) == [job: .scheduled])
      _ = try await fixture.claim([job], 3)
      #expect(try await fixture.settle(job, .retryable(.zero), 3, retryLimit: .seconds(3600)) == [job: .retryable])
    }
  }

  @Test func aSnoozeDoesNotCountAsFailing() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job], 1)
      try await fixture.settle(job, .retryable(.zero), 1)
      _ = try await fixture.claim([job], 2)
      try await fixture.settle(job, .snoozed(.seconds(7200)), 2)
      // As two hours later.
      try await fixture.execute(
        "update job set scheduled_at = scheduled_at - interval '2 hours', failing_since = failing_since - interval '2 hours'"
      )
      _ = try await fixture.claim([job], 3)
      #expect(try await fixture.settle(job, .retryable(.zero), 3, retryLimit: .seconds(3600)) == [job: .retryable])
    }
  }

  @Test func aCompletedJobIsNotRetried() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      try await fixture.settle(job, .completed)
      let error = await #expect(throws: MetadataError.self) {
        try await fixture.write { try await $0.retryJob(id: job) }
      }
      #expect(error?.code == .refused && error?.message.contains("completed") == true)
    }
  }

  @Test func aCancelledJobLeavesRoomForANewOne() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      try await fixture.write { try await $0.cancelJob(id: job) }
      #expect(try await fixture.job(job).state == .cancelled)
      #expect(try await fixture.submit(.grantee("r"))[0].isNew)
    }
  }

  @Test func aRunningJobIsNotCancelled() async throws {
    try await Fixture.run { fixture in
      let job = try await fixture.submitOne()
      _ = try await fixture.claim([job])
      await #expect(throws: MetadataError.self) { try await fixture.write { try await $0.cancelJob(id: job) } }
    }
  }

  @Test func deadLettersAreKeptForATimeOfTheirOwn() async throws {
    try await Fixture.run { fixture in
      let jobs = try await fixture.submit(.grantee("a"), .grantee("b")).map(\.id)
      _ = try await fixture.claim(jobs)
      try await fixture.settle(jobs[0], .discarded)
      try await fixture.settle(jobs[1], .completed)
      try await fixture.execute("update job set finished_at = now() - interval '2 days'")
      let (day, week) = (Duration.seconds(86_400), Duration.seconds(7 * 86_400))
      #expect(try await fixture.write { try await $0.pruneDeadLetters(olderThan: week, limit: 10) } == 0)
      #expect(try await fixture.write { try await $0.pruneJobs(olderThan: day, limit: 10) } == 1)
      #expect(try await fixture.job(jobs[0]).state == .discarded)
      #expect(try await fixture.write { try await $0.pruneDeadLetters(olderThan: day, limit: 10) } == 1)
      #expect(try await fixture.rows("select id from job").isEmpty)
    }
  }

  /// Finished jobs are found without a look at the dead letters, however many stay, and the other way round.
  @Test func pruningReadsOnlyWhatItDeletes() async throws {
    try await Fixture.run { fixture in
      for (state, index) in [("<> 'discarded'", "job_ended"), ("= 'discarded'", "job_dead_since")] {
        let plan = try await fixture.write { session in
          _ = try await session.connection.query("set local enable_seqscan = off")
          return try await session.connection.query(
            "explain select id from job where finished_at < now() and state \(state) order by finished_at limit 10"
          ).rows.map { try $0.text("QUERY PLAN") }.joined(separator: "\n")
        }
        #expect(plan.contains(index), "\(plan)")
      }
    }
  }
}
