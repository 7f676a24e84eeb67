import Metadata
import Platform
import Postgres
import RandomTestKit

/// A run of random operations on a real ledger, with the model beside it.
actor LedgerRun {
  private let fixture: Fixture
  private let lanes: [Int64]
  private var random: SeededGenerator
  private var model = LedgerModel()
  private var sequence: Int64 = 0
  private var producers: [Producer] = []

  /// A connection with a transaction that stays open over other operations.
  private struct Producer {
    let connection: PostgresConnection
    var isOpen = false
    var pending: [(key: LedgerModel.Key, job: SubmittedJob)] = []
  }

  /// What the statements must never do, whatever the model says.
  private struct Mismatch: Error, CustomStringConvertible {
    let description: String
  }

  init(_ fixture: Fixture, seed: UInt64) async throws {
    self.fixture = fixture
    random = SeededGenerator(seed: seed)
    lanes = try await fixture.read { try await $0.lanes(of: fixture.connection.id) }.map(\.id)
    try await fixture.execute("alter table job alter column max_attempts set default \(LedgerModel.maxAttempts)")
    for _ in 0..<2 {
      producers.append(Producer(connection: try await PostgresConnection.connect(fixture.metadata.configuration)))
    }
  }

  func end() async { for producer in producers { await producer.connection.close() } }

  /// Does something, and says what.
  func step() async throws -> String {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<14: try await submit()
    case 14..<26: try await produce()
    case 26..<48: try await claim()
    case 48..<72: try await settle()
    case 72..<76: try await release()
    case 76..<80: try await cancel()
    case 80..<86: try await retry()
    case 86..<88: try await raise()
    case 88..<90: try await letTimePass()
    default: try await hand()
    }
  }

  private func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }

  private func some<Value>(_ values: [Value], atMost limit: Int) -> [Value] {
    guard !values.isEmpty else { return [] }
    return Array(values.shuffled(using: &random).prefix(Int.random(in: 1...limit, using: &random)))
  }
}

// Producers.
extension LedgerRun {
  /// Keys that no producer's open transaction has: asking for one of those would wait for its end.
  private func freeKeys() -> [LedgerModel.Key] {
    let taken = Set(producers.flatMap { $0.pending.map(\.key) })
    return lanes.flatMap { lane in
      [JobKind.subscribe, .revoke].flatMap { kind in
        ["a", "b", "c", "d"].map { LedgerModel.Key(lane: lane, kind: kind, role: $0) }
      }
    }.filter { !taken.contains($0) }
  }

  private func requests(_ keys: [LedgerModel.Key]) -> [JobRequest] {
    keys.map {
      JobRequest(
        lane: $0.lane, kind: $0.kind, jobClass: $0.kind == .revoke ? .revoke : .bulk, scope: .grantee($0.role))
    }
  }

  private func submit() async throws -> String {
    let keys = some(freeKeys(), atMost: 4)
    let requests = requests(keys)
    let jobs = try await fixture.write { try await $0.submit(requests) }
    for (key, job) in zip(keys, jobs) { try note(key, job) }
    return "submit \(jobs.map(\.id))"
  }

  private func note(_ key: LedgerModel.Key, _ job: SubmittedJob) throws {
    let open = model.open(key)?.id
    guard job.isNew ? open == nil : open == job.id else {
      throw Mismatch(description: "\(key) became job \(job.id), new \(job.isNew), while \(open as Any) was open")
    }
    model.submitted(key, as: job)
  }

  /// Begins a producer's transaction, goes on with it, or ends it, one way or the other.
  private func produce() async throws -> String {
    let index = Int.random(in: 0..<producers.count, using: &random)
    let connection = producers[index].connection
    guard !producers[index].isOpen || chance(0.5) else {
      let commits = chance(0.7)
      try await connection.execute(commits ? "commit" : "rollback")
      for (key, job) in producers[index].pending {
        model.held.remove(job.id)
        if commits { try note(key, job) }
      }
      producers[index] = Producer(connection: connection)
      return "producer \(index) \(commits ? "commits" : "rolls back")"
    }
    if !producers[index].isOpen { try await connection.execute("begin") }
    producers[index].isOpen = true
    let keys = some(freeKeys(), atMost: 2)
    let jobs = try await MetadataSession(connection: connection).submit(requests(keys))
    producers[index].pending += zip(keys, jobs).map { (key: $0, job: $1) }
    model.held.formUnion(jobs.map(\.id))
    return "producer \(index) submits \(jobs.map(\.id))"
  }
}

// Workers.
extension LedgerRun {
  private func claim() async throws -> String {
    guard let lane = lanes.randomElement(using: &random) else { return "nothing" }
    let known = model.rows.values.filter { $0.key.lane == lane }.map(\.id).sorted()
    let numbers = some(known.suffix(12), atMost: 6) + (chance(0.1) ? [1_000_000] : [])
    if !chance(0.15) { sequence += 1 }
    // Now and then a fence from before, such as of a worker that slept.
    let fence = Fence(
      epoch: chance(0.05) ? max(1, model.epoch - 1) : model.epoch,
      sequence: chance(0.1) ? max(1, sequence - 2) : max(1, sequence))
    // Now and then a worker whose Redis has forgotten that it gave out this fence.
    let worker = chance(0.1) ? "v" : "w"
    var answers: [LedgerModel.Fates] = []
    // A lost answer: the worker claims once more.
    for _ in 0..<(chance(0.2) ? 2 : 1) {
      let isDurable = chance(0.5)
      let claim =
        isDurable
        ? try await fixture.write { try await $0.claim(numbers, fence: fence, worker: worker) }
        : try await fixture.metadata.claim(numbers, fence: fence, worker: worker)
      let expected = model.claim(numbers, fence, worker: worker)
      let actual = LedgerModel.Fates(
        claimed: claim.claimed.map(\.id), poisoned: claim.poisoned.sorted(), finished: claim.finished,
        early: claim.early.keys.sorted(), busy: claim.busy)
      guard actual == expected else {
        throw Mismatch(description: "claim \(numbers) under \(fence) answered \(actual), not \(expected)")
      }
      answers.append(actual)
    }
    return "\(worker) claims \(numbers) under \(fence): \(answers)"
  }

  private func settle() async throws -> String {
    guard let fence = randomFence() else { return "nothing runs" }
    let running = model.rows.values.filter { $0.state == .running && $0.fence == fence }.map(\.id).sorted()
    var outcomes: [Int64: JobResult.Outcome] = [:]
    for id in some(running + some(Array(model.rows.keys.sorted().suffix(8)), atMost: 2), atMost: 6) {
      outcomes[id] =
        [
          .completed, .completed, .discarded, .cancelled, .retryable(.zero), .retryable(.seconds(3600)),
          .snoozed(.zero), .snoozed(.seconds(3600)),
        ].randomElement(using: &random)
    }
    let results = outcomes.sorted { $0.key < $1.key }.map { JobResult(id: $0.key, outcome: $0.value, error: "e") }
    // A lost answer: the second time nothing may be accepted.
    for _ in 0..<(chance(0.2) ? 2 : 1) {
      let states = try await fixture.write { try await $0.settle(results, fence: fence) }
      let expected = model.settle(outcomes, fence)
      guard states == expected else {
        throw Mismatch(description: "settling \(outcomes) under \(fence) answered \(states), not \(expected)")
      }
    }
    return "settle \(outcomes) under \(fence)"
  }

  /// Most often one under which jobs run; else a stale one.
  private func randomFence() -> Fence? {
    if chance(0.15) { return Fence(epoch: model.epoch, sequence: max(1, sequence - 3)) }
    return model.rows.values.filter { $0.state == .running }.compactMap(\.fence).sorted().randomElement(using: &random)
  }

  private func release() async throws -> String {
    guard let fence = randomFence() else { return "nothing runs" }
    let numbers = some(model.rows.keys.sorted(), atMost: 10)
    try await fixture.write { try await $0.release(numbers, fence: fence) }
    model.release(numbers, fence)
    return "release \(numbers) under \(fence)"
  }
}

// Operators, schedulers and time.
extension LedgerRun {
  private func cancel() async throws -> String {
    let waiting = model.rows.values.filter {
      [.available, .scheduled, .retryable].contains($0.state) && !model.held.contains($0.id)
    }.map(\.id).sorted()
    guard let id = waiting.randomElement(using: &random) else { return "nothing waits" }
    try await fixture.write { try await $0.cancelJob(id: id) }
    model.cancel(id)
    return "cancel \(id)"
  }

  private func retry() async throws -> String {
    let free = Set(freeKeys())
    let dead = model.rows.values.filter { $0.state == .discarded }.map(\.id).sorted()
    // All of them, as long as none would wait for a producer.
    if chance(0.3), dead.allSatisfy({ model.rows[$0].map { free.contains($0.key) } == true }) {
      let retried = try await fixture.write { try await $0.retryDeadLetters() }
      return try check(retried, dead)
    }
    let ended = model.rows.values.filter { [.discarded, .cancelled].contains($0.state) && free.contains($0.key) }
    guard let id = ended.map(\.id).sorted().randomElement(using: &random) else { return "nothing to retry" }
    if model.rows[id]?.state == .discarded, chance(0.2) {
      try await fixture.write { try await $0.discardDeadLetter(id: id, actor: "ana") }
      model.rows[id]?.state = .cancelled
      return "put \(id) aside"
    }
    return try check([try await fixture.write { try await $0.retryJob(id: id) }], [id])
  }

  private func check(_ retried: [RetriedJob], _ numbers: [Int64]) throws -> String {
    let actual = Dictionary(uniqueKeysWithValues: retried.map { ($0.id, $0.runsAs) })
    let expected = model.retry(numbers)
    guard actual == expected else { throw Mismatch(description: "retried \(actual), not \(expected)") }
    return "retry \(actual)"
  }

  private func raise() async throws -> String {
    let known = model.epoch
    guard let epoch = try await fixture.write({ try await $0.raiseEpoch(known: known, claimed: nil, redisRunID: "r") })
    else { throw Mismatch(description: "epoch \(known) was not raised") }
    (model.epoch, model.told, sequence) = (epoch, [], 0)
    return "raise to \(epoch)"
  }

  /// What was to be done later is due now.
  private func letTimePass() async throws -> String {
    let waiting = model.rows.values.filter { !$0.isDue && !model.held.contains($0.id) }.map(\.id)
    _ = try await fixture.rows("update job set scheduled_at = now() where id = any ($1)", [.int8Array(waiting)])
    for id in waiting { model.rows[id]?.isDue = true }
    return "\(waiting) are due"
  }

  /// A scheduler tells Redis, or does not reach it.
  private func hand() async throws -> String {
    struct Unreachable: Error {}
    guard let jobClass = [JobClass.revoke, .bulk].randomElement(using: &random) else { return "nothing" }
    // Now and then by a scheduler that has not heard of the new epoch: Redis refuses what it says.
    let epoch = chance(0.1) ? model.epoch - 1 : model.epoch
    let isReached = epoch == model.epoch && chance(0.8)
    let limit = Int.random(in: 1...5, using: &random)
    var jobs: [Int64] = []
    do {
      jobs = try await fixture.write { session in
        let new = try await session.takeOutbox(jobClass, epoch: epoch, limit: limit)
        let forgotten = try await session.takeRefill(jobClass, epoch: epoch, limit: limit)
        if !isReached { throw Unreachable() }
        return (new.jobs + forgotten.jobs).map(\.id)
      }
    } catch is Unreachable { return "\(jobClass) was not told" }
    model.told.formUnion(jobs)
    return "told of \(jobs)"
  }
}

// The comparison.
extension LedgerRun {
  /// What differs from the model, and what is neither told nor to be told.
  func faults() async throws -> [String] {
    let rows = try await fixture.rows(
      """
      select j.id, j.state, j.attempt, j.stalls, j.coalesced, j.open_key is not null as is_open, j.fence_epoch,
        j.fence_sequence, j.finished_at is not null as is_finished,
        exists (select from outbox o where j.id = any (o.jobs) and o.class = j.class and o.parked_by = l.parked_by)
          or exists (select from refill r where r.class = j.class and r.parked_by = l.parked_by
            and (r.lane_id, r.job_id) < (j.lane_id, j.id))
          as is_to_be_told,
        (select count(*) from job_attempt a where a.job_id = j.id) as attempts
      from job j join lane l on l.id = j.lane_id order by j.id
      """)
    var faults: [String] = []
    for row in rows { faults += try differences(row) }
    let surplus = Set(model.rows.keys).subtracting(try rows.map { try $0.int("id") })
    if !surplus.isEmpty { faults.append("the ledger has not \(surplus.sorted())") }
    return faults + (try await attemptFaults())
  }

  private func differences(_ row: PostgresRow) throws -> [String] {
    let id = try row.int("id")
    guard let expected = model.rows[id] else { return ["the model has no job \(id)"] }
    var faults: [String] = []
    func check(_ what: String, _ actual: String, _ wanted: String) {
      if actual != wanted { faults.append("job \(id) has \(what) \(actual), not \(wanted)") }
    }
    check("state", try row.text("state"), expected.state.rawValue)
    check("attempt", "\(try row.int("attempt"))", "\(expected.attempt)")
    check("stalls", "\(try row.int("stalls"))", "\(expected.stalls)")
    check("coalesced", "\(try row.int("coalesced"))", "\(expected.coalesced)")
    check("an open key", "\(try row.bool("is_open"))", "\(expected.isOpen && !expected.state.isFinal)")
    check("an end", "\(try row.bool("is_finished"))", "\(expected.state.isFinal)")
    if let fence = expected.fence {
      check("fence", "\(try row.int("fence_epoch")).\(try row.int("fence_sequence"))", "\(fence)")
    }
    if try !expected.state.isFinal && !row.bool("is_to_be_told") && !model.told.contains(id) {
      faults.append("job \(id) is unfinished, and Redis is never told of it")
    }
    return faults
  }

  /// Of one job at a time, because it costs a question each.
  private func attemptFaults() async throws -> [String] {
    guard let expected = model.rows.values.sorted(by: { $0.id < $1.id }).randomElement(using: &random) else {
      return []
    }
    let actual = try await fixture.read { try await $0.attempts(of: expected.id) }.map(\.outcome)
    return actual == expected.attempts
      ? [] : ["job \(expected.id) tells of attempts \(actual), not \(expected.attempts)"]
  }
}
