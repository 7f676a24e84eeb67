import Platform
import Testing
import campaign

/// Every rule of the campaign's checker finds what breaks it, and nothing where nothing is wrong.
@Suite struct CampaignChecksTests {
  private static let table = TableName(database: "lab_one", table: "t1")
  private static let key = AccessKey(user: "ben", table: table)
  private static let grant = GrantReading(role: "ben", table: table, privilege: "SELECT")

  private static func role(_ name: String) -> RoleReading { RoleReading(connection: "lab", role: name) }

  /// A user who reads a table, by one job that ran twice.
  private static var sound: Readings {
    var readings = Readings()
    readings.jobs = [JobReading(id: 1, attempt: 2)]
    readings.attempts = [
      AttemptReading(
        job: 1, fence: Fence(epoch: 1, sequence: 4), outcome: "retryable", startedAt: 1, finishedAt: 2,
        error: "tuple concurrently updated"),
      AttemptReading(job: 1, fence: Fence(epoch: 1, sequence: 5), startedAt: 3, finishedAt: 4),
    ]
    readings.transitions = [
      TransitionReading(job: 1, from: "available", to: "running", fence: Fence(epoch: 1, sequence: 4)),
      TransitionReading(job: 1, from: "running", to: "retryable", fence: Fence(epoch: 1, sequence: 4)),
      TransitionReading(job: 1, from: "retryable", to: "running", fence: Fence(epoch: 1, sequence: 5)),
      TransitionReading(job: 1, from: "running", to: "completed", fence: Fence(epoch: 1, sequence: 5)),
    ]
    readings.asked = [key: .read]
    readings.desired = [key: .read]
    readings.observed = [key: ["SELECT"]]
    readings.desiredGrants = [grant]
    readings.observedGrants = [grant]
    readings.admitted = ["lab_one": ["ben"]]
    readings.desiredMembers = [MemberReading(role: role("audience"), member: "ben")]
    readings.observedMembers = readings.desiredMembers
    readings.desiredRoles = [role("ben"), role("audience")]
    readings.observedRoles = readings.desiredRoles
    return readings
  }

  @Test func soundReadingsBreakNoRule() {
    #expect(CampaignChecks.violations(in: Self.sound).isEmpty)
  }

  struct Breakage: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let rule: CampaignRule
    let apply: @Sendable (inout Readings) -> Void

    init(_ description: String, _ rule: CampaignRule, _ apply: @escaping @Sendable (inout Readings) -> Void) {
      testDescription = description
      self.rule = rule
      self.apply = apply
    }
  }

  private static let breakages = [
    Breakage("a request got lost", .nothingLost) { $0.desired = [:] },
    Breakage("a revoke got lost", .nothingLost) { $0.asked[key] = Access.none },
    Breakage("an access is missing", .nothingStale) { $0.observed = [:] },
    Breakage("an access stayed", .nothingStale) { $0.observed[key] = Access.write.privileges },
    Breakage("a membership is missing", .nothingStale) { $0.observedMembers = [] },
    Breakage("somebody granted by hand", .grantsAsDesired) {
      $0.observedGrants.insert(GrantReading(role: "eve", table: table, privilege: "SELECT"))
    },
    Breakage("a grant is missing", .grantsAsDesired) { $0.observedGrants = [] },
    Breakage("a way into the schema stayed", .grantsAsDesired) { $0.admitted["lab_two"] = ["ben"] },
    Breakage("a role stayed", .nothingLeftBehind) { $0.observedRoles.insert(role("audience-of-old")) },
    Breakage("a membership stayed", .nothingLeftBehind) {
      $0.observedMembers.insert(MemberReading(role: role("audience"), member: "eve"))
    },
    Breakage("a job was taken out of Redis", .allSettled) { $0.jobs.append(JobReading(id: 2, state: "available")) },
    Breakage("a job runs for ever", .allSettled) { $0.jobs[0].state = "running" },
    Breakage("an attempt was deleted", .settledOnce) { $0.attempts.removeLast() },
    Breakage("a job was settled and nobody wrote it down", .settledOnce) { $0.transitions.removeLast() },
    Breakage("a job was settled twice", .settledOnce) { $0.transitions.append($0.transitions[3]) },
    Breakage("a finished job ran again", .settledOnce) {
      $0.transitions.append(
        TransitionReading(job: 1, from: "completed", to: "running", fence: Fence(epoch: 1, sequence: 6)))
    },
    Breakage("a job died", .noDeadLetters) {
      $0.jobs[0].state = "discarded"
      $0.attempts[1].outcome = "discarded"
    },
    Breakage("an open key stayed", .noOpenKey) { $0.jobs[0].hasOpenKey = true },
    Breakage("Redis kept a job", .queueDrained) { $0.queue.delayed = 1 },
    Breakage("Redis kept a lease", .queueDrained) { $0.queue.leased = 1 },
    Breakage("Redis kept a lane's key", .queueDrained) { $0.queue.keys = 1_000 },
    Breakage("a job was claimed under an older fence", .fencesRise) {
      $0.transitions[2].fence = Fence(epoch: 1, sequence: 3)
    },
    Breakage("two workers had one fence", .fencesRise) {
      $0.transitions[2].fence = $0.transitions[0].fence
      $0.transitions[2].worker = "another worker"
    },
    Breakage("a lane was claimed under an older epoch", .fencesRise) {
      $0.transitions.append(
        TransitionReading(job: 2, from: "available", to: "running", fence: Fence(epoch: 0, sequence: 9)))
    },
    Breakage("an outage cost an attempt", .attemptsForConflicts) {
      $0.attempts[0].error = "the connection was lost"
    },
    Breakage("an attempt was counted that nobody sees", .attemptsForConflicts) { $0.jobs[0].attempt = 3 },
  ]

  @Test(arguments: breakages) func theCheckerFinds(_ breakage: Breakage) {
    var readings = Self.sound
    breakage.apply(&readings)
    let found = CampaignChecks.violations(in: readings)
    #expect(found.contains { $0.rule == breakage.rule }, "found: \(found)")
  }

  @Test func aPlanHoldsEveryKindInTheOrderOfItsSeed() {
    let kinds = FaultKind.allCases
    let plan = FaultPlan.make(kinds: kinds, seconds: 20, gap: 3, lease: 3, seed: 7)
    #expect(Set(plan.map(\.kind)) == Set(kinds))
    #expect(plan == FaultPlan.make(kinds: kinds, seconds: 20, gap: 3, lease: 3, seed: 7))
    #expect(plan != FaultPlan.make(kinds: kinds, seconds: 20, gap: 3, lease: 3, seed: 8))
    #expect(plan.map(\.at) == plan.map(\.at).sorted())
  }
}
