import Cluster
import Metadata
import Platform

/// The ledger as one process reaches it.
struct LedgerClient: Ledger {
  let ledger: SimulatedLedger
  let process: SimulatedProcess

  private func call<Value: Sendable>(
    _ what: String, _ effect: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await ledger.call(
      what, from: process, lost: LedgerLost() as any Error, cancelled: CancellationError(), effect)
  }

  func isOutage(_ error: any Error) -> Bool { error is LedgerLost }

  func claim(_ jobs: [Int64], fence: Fence, worker: String) async throws -> Claim {
    try await call("claim \(jobs) \(fence)") { claimNow(jobs, fence, worker) }
  }

  private func claimNow(_ jobs: [Int64], _ fence: Fence, _ worker: String) -> Claim {
    // Now and then a producer holds a row.
    let busy = Set(jobs.filter { _ in ledger.world.happens(ledger.world.faults.lostReply) })
    let claim = ledger.model.claim(jobs, fence, worker: worker, busy: busy, now: ledger.milliseconds)
    ledger.world.note(
      """
      claimed \(claim.claimed.map(\.id)), finished \(claim.finished), poisoned \(claim.poisoned), \
      early \(claim.early.keys.sorted()), busy \(claim.busy)
      """)
    return claim
  }

  func settle(_ results: [JobResult], fence: Fence) async throws -> [Int64: JobState] {
    let what = results.map { "\($0.id) \($0.outcome)" }
    return try await call("settle \(what) \(fence)") { ledger.settle(results, fence) }
  }

  func decide(
    _ jobs: [Int64], fence: Fence, worker: String, _ result: @escaping @Sendable (ClaimedJob) -> JobResult
  ) async throws -> (claim: Claim, results: [JobResult], states: [Int64: JobState]) {
    try await call("decide \(jobs) \(fence)") {
      let claim = claimNow(jobs, fence, worker)
      let results = claim.claimed.map(result)
      let states = ledger.settle(results, fence)
      return (claim, results, states)
    }
  }

  func release(_ jobs: [Int64], fence: Fence) async throws {
    try await call("release \(jobs) \(fence)") {
      ledger.model.release(jobs, fence, now: ledger.milliseconds)
      ledger.model.flush()
    }
  }

  func submitSync(of connection: Int64) async throws {
    try await call("sync \(connection)") { ledger.submitSync(of: connection) }
  }

  func report(_ state: Connection.State, of connection: Int64, reason: String?) async throws {
    try await call("report \(connection) \(state)") {
      ledger.connections[connection]?.note(state, now: ledger.world.now)
    }
  }

  func noteTrouble(with connection: Int64, _ reason: String) async throws {
    try await call("note trouble with \(connection)") {}
  }

  func withSession(_ body: @Sendable (any LedgerSession) async throws -> Void) async throws {
    let session = try await call("connect") { SimulatedLedgerSession(ledger, process) }
    let forget = process.hold { ledger.end(session) }
    defer {
      forget()
      ledger.end(session)
    }
    try await body(session)
  }

  /// Nobody changes them here.
  func queueRules() async throws -> StoredQueueRules {
    StoredQueueRules(version: SimulatedQueue.rulesVersion, pause: nil, mostLanes: 16)
  }

  func noteQueue(isFull: Bool) async throws -> Bool {
    try await call("full: \(isFull)") {
      defer { ledger.model.isFull = isFull }
      return ledger.model.isFull != isFull
    }
  }

  func raiseEpoch(known: Int64, claimed: Int64?, redisRunID: String?) async throws -> Int64? {
    try await call("raise from \(known)") {
      ledger.model.raiseEpoch(known: known, claimed: claimed, redisRunID: redisRunID)
    }
  }

  func noteConnections(_ connections: Set<Int64>, areFull: Bool) async throws -> Set<Int64> {
    try await call("full \(connections.sorted()): \(areFull)") {
      let known = ledger.model.fullConnections
      ledger.model.fullConnections = areFull ? known.union(connections) : known.subtracting(connections)
      return areFull ? connections.subtracting(known) : connections.intersection(known)
    }
  }
}

// The leader's duties.
extension LedgerClient {
  func endExpired(limit: Int) async throws -> Int {
    try await call("end expired") {
      ledger.lastExpiry = ledger.world.now
      return 0
    }
  }
  func pruneDeadLetters(olderThan age: Duration, limit: Int) async throws -> Int { 0 }

  func pruneJobs(olderThan age: Duration, limit: Int) async throws -> Int {
    try await call("prune") {
      let count = min(limit, ledger.oldJobs)
      ledger.oldJobs -= count
      return count
    }
  }

  func connectionsDueForSync(limit: Int) async throws -> [Connection] {
    try await call("due syncs") {
      guard let every = ledger.syncEvery else { return [] }
      return sorted().filter { $0.state == .active && $0.syncedAt + every <= ledger.world.now }.map(\.connection)
    }
  }

  func planSync(of connection: Int64, skippingThis: Bool) async throws {
    try await call("plan sync \(connection)") {
      ledger.connections[connection]?.syncedAt = ledger.world.now
      if !skippingThis { ledger.submitSync(of: connection) }
    }
  }

  func connectionsDueForSweep(limit: Int) async throws -> [Connection] {
    try await call("due sweeps") {
      guard let every = ledger.sweepEvery else { return [] }
      return sorted().filter { $0.state == .active && $0.sweptAt + every <= ledger.world.now }.map(\.connection)
    }
  }

  func planSweep(of connection: Int64, skippingThis: Bool) async throws {
    try await call("plan sweep \(connection)") {
      ledger.connections[connection]?.sweptAt = ledger.world.now
      if !skippingThis { ledger.submitSync(of: connection, isSweep: true) }
    }
  }

  func dueProbes(limit: Int) async throws -> [(connection: Connection, failures: Int)] {
    try await call("due probes") {
      sorted().filter { [.stopped, .unhealthy].contains($0.state) && $0.probeAt <= ledger.world.now }
        .map { ($0.connection, $0.probeFailures) }
    }
  }

  func planProbe(of connection: Int64, after delay: Duration) async throws {
    try await call("plan probe \(connection)") {
      ledger.connections[connection]?.probeAt = ledger.world.now + delay.microseconds
      ledger.connections[connection]?.probeFailures += 1
    }
  }

  private func sorted() -> [SimulatedLedger.ConnectionRecord] {
    ledger.connections.values.sorted { $0.number < $1.number }
  }
}

extension SimulatedLedger.ConnectionRecord {
  mutating func note(_ new: Connection.State, now: Int) {
    guard new != state, state != .inactive else { return }
    (state, probeAt, probeFailures) = (new, now + .seconds(1), 0)
  }
}
