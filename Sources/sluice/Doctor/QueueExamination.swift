import JobQueue
import Metadata
import Platform

/// Whether the queue in Redis keeps its own rules and agrees with the ledger, while it works. Nothing is changed; what
/// is compared between two servers is looked at again before it is reported, because jobs move meanwhile.
struct QueueExamination: Sendable {
  /// Lanes whose rules are checked; of more, the first.
  static let laneLimit = 20_000
  private static let pageSize = 250
  /// Unfinished jobs of each class that are looked up in Redis: so many in the first lanes, and in lanes by chance.
  static let sampleSize = 50
  /// Faults that are told one by one.
  private static let toldFaults = 20
  /// What is due and waits for longer means that nobody leases.
  static let longestOverdue: Duration = .seconds(15)
  /// Between two looks at what differs.
  static let recheckDelay: Duration = .seconds(1)
  private static let recheckCount = 5

  /// What there is to look at only in a queue that has a memory.
  static let memoryChecks = ["queue rules", "queue invariants", "queue overdue", "queue jobs"]

  let queue: LaneQueue
  /// Nil if the ledger cannot be read: then it is looked at what Redis alone knows.
  let metadata: MetadataDatabase?

  func findings() async throws -> [Finding] {
    let epochs = try await epoch()
    guard try await queue.epoch() != nil else {
      return [epochs] + Self.memoryChecks.map { .unknown($0, because: "queue epoch") }
    }
    // Side by side: each may have to look again for some seconds.
    async let (rules, invariants) = (self.rules(), self.invariants())
    async let (overdue, jobs) = (self.overdue(), self.jobs())
    return try await [epochs, rules] + invariants + [overdue, jobs]
  }

  /// Looks again while the answer is not `ok`, as long as a scheduler needs to set right what it can.
  private func settled(_ look: () async throws -> Finding) async throws -> Finding {
    for _ in 1..<Self.recheckCount {
      let finding = try await look()
      if finding.verdict == .ok || finding.verdict == .unknown { return finding }
      try await Task.sleep(for: Self.recheckDelay)
    }
    return try await look()
  }

  private func epoch() async throws -> Finding {
    try await settled {
      let known = try await metadata?.read { try await $0.queueState().epoch }
      guard let claimed = try await queue.epoch() else {
        return .error(
          "queue epoch", "Redis has no memory of the queue: no job is in motion",
          remedy: "a scheduler fills it again within seconds; see that one runs")
      }
      guard let known else { return .unknown("queue epoch", because: "metadata schema") }
      return claimed == known
        ? .ok("queue epoch", "\(known), in Redis as in the ledger")
        : .error(
          "queue epoch", "Redis has \(claimed), the ledger \(known)",
          remedy: "a scheduler begins a new one; see that one runs, and that no other installation uses this Redis")
    }
  }

  private func rules() async throws -> Finding {
    guard let metadata else { return .unknown("queue rules", because: "metadata schema") }
    return try await settled {
      let known = try await metadata.read { try await $0.queueState().rulesVersion }
      let copied = try await queue.rulesVersion()
      return copied == known
        ? .ok("queue rules", "version \(known), in Redis as in the metadata database")
        : .error(
          "queue rules", "Redis has version \(copied.map(String.init) ?? "none"), the metadata database \(known)",
          remedy: "a scheduler brings them to Redis; see that one runs, or repeat the pause or resume")
    }
  }

  /// Each page and the sums are looked at in one instant: what they show is no matter of timing.
  private func invariants() async throws -> [Finding] {
    var faults = try await queue.balance(sampleFrom: .random(in: 0..<1)).faults
    var (last, seen): (LaneID?, Int) = (nil, 0)
    repeat {
      let page = try await queue.inspect(after: last, limit: Self.pageSize)
      faults += page.faults
      last = page.last
      seen += Self.pageSize
    } while last != nil && seen < Self.laneLimit
    if faults.isEmpty { return [.ok("queue invariants", "sums, lanes, leases and turns agree")] }
    let remedy = "have Redis filled again from the ledger: redis-cli DEL {sluice:0}:epoch, and report the fault"
    var findings = faults.prefix(Self.toldFaults).map {
      Finding.error("queue invariants", "\($0.rule) of \($0.subject): \($0.message)", remedy: remedy)
    }
    if faults.count > Self.toldFaults {
      findings.append(
        .error("queue invariants", "\(faults.count - Self.toldFaults) more faults like these", remedy: remedy))
    }
    return findings
  }

  private func overdue() async throws -> Finding {
    try await settled {
      let balance = try await queue.balance()
      let late = [
        ("a lease expired", balance.overdueLease), ("a delayed job is due", balance.overdueDelayed),
        ("a parked connection or lane may be tried", balance.overdueParked),
      ].filter { $0.1 > Self.longestOverdue }
      guard let first = late.first else { return .ok("queue overdue", "nothing waits for somebody to lease") }
      return .error(
        "queue overdue", "\(first.0) since \(DurationText.rounded(first.1)), and nobody leases",
        remedy: "see that workers run and reach Redis: sluice worker list")
    }
  }

  /// A job that the ledger calls unfinished and handed over is in Redis; one that runs does so under no older lease.
  private func jobs() async throws -> Finding {
    guard let metadata else { return .unknown("queue jobs", because: "metadata schema") }
    let sample = try await metadata.read { try await $0.sampleEnqueued(size: Self.sampleSize) }
    var (missing, outrun) = try await misplaced(sample)
    for _ in 1..<Self.recheckCount where !missing.isEmpty {
      try await Task.sleep(for: Self.recheckDelay)
      let open = try await metadata.read { [missing] in
        try await $0.stillEnqueued(missing.map(\.id))
      }
      missing = try await misplaced(missing.filter { open.contains($0.id) }).missing
    }
    if let first = missing.first {
      return .error(
        "queue jobs", "\(missing.count) of \(sample.count) unfinished jobs are not in Redis, the first is \(first.id)",
        remedy: "see: sluice job show \(first.id); a new epoch brings all of them back")
    }
    if let first = outrun.first {
      return .error(
        "queue fences", "job \(first.id) runs under a later fence than that of its lane's lease",
        remedy: "Redis went back in time; a scheduler begins a new epoch, see that one runs")
    }
    return .ok("queue jobs", "\(sample.count) unfinished jobs of the ledger looked up, all are in Redis")
  }

  /// The ledger was read before: leases can only be newer than what it says.
  private func misplaced(_ sample: [EnqueuedJob]) async throws -> (missing: [EnqueuedJob], outrun: [EnqueuedJob]) {
    let leases = Dictionary(
      try await queue.stats().leases.map { ($0.lane, $0.fence) }, uniquingKeysWith: { first, _ in first })
    var (missing, outrun) = ([EnqueuedJob](), [EnqueuedJob]())
    for job in sample {
      let lane = LaneID(connection: job.parkedBy, lane: job.lane)
      let queued = QueuedJob(number: job.id, lane: lane, jobClass: job.jobClass, kind: job.kind)
      if try await queue.place(of: queued) == .absent { missing.append(job) }
      if let fence = job.fence, let lease = leases[lane], fence > lease { outrun.append(job) }
    }
    return (missing, outrun)
  }
}
