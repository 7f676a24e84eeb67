import Cluster
import Metadata
import Platform

/// The metadata database: the ledger, the desired state, and what is known of connections.
///
/// `@unchecked`: see `World`.
final class SimulatedLedger: Service, @unchecked Sendable {
  var model = LedgerModel()
  /// Counts changes of the desired state; what was read is known by it.
  private(set) var version = 0
  private(set) var desired: [Access: Bool] = [:]
  var connections: [Int64: ConnectionRecord] = [:]
  /// How long after its last periodic sync a connection is due again; nil for never.
  var syncEvery: Int? = .seconds(60)
  /// The same of its sweep.
  var sweepEvery: Int?
  private var listeners: [Reply<Set<JobClass>>] = []
  private var leader: SimulatedLedgerSession?
  private var keeper: SimulatedLedgerSession?
  var outboxHolder: Int?
  var lastOutboxHolder = 0
  /// Finished jobs that have been kept for long enough.
  var oldJobs = 0
  /// When somebody looked for expired subscriptions.
  var lastExpiry = 0
  /// Sessions of an older run are gone.
  private(set) var run = 1
  /// Counted failures by job, as its handler wanted them.
  var wantedFailures: [Int64: Int] = [:]
  /// Runs by job whose session broke off; the third one in a row may count, or any that follows a counted failure.
  var breaks: [Int64: Int] = [:]
  /// The newest desired state that each access was made equal to in its target.
  var enforced: [Access: Int] = [:]

  struct Access: Hashable, Comparable {
    let lane: Int64
    let user: Int64
    let table: Int64

    var scope: JobScope { .subscription(identity: user, securable: table) }
    static func < (left: Access, right: Access) -> Bool {
      (left.lane, left.user, left.table) < (right.lane, right.user, right.table)
    }
  }

  struct ConnectionRecord {
    let number: Int64
    let lanes: [Int64]
    var state = Connection.State.active
    var probeAt = 0
    var probeFailures = 0
    var syncedAt = 0
    var sweptAt = 0
    var workspaceURL: String?
    /// It sleeps when nobody is connected.
    var mayIdle = false

    var connection: Connection {
      var connection = Connection(name: "c\(number)", kind: .postgres, host: "", database: "", username: "")
      connection.id = number
      (connection.state, connection.workspaceURL) = (state, workspaceURL)
      if mayIdle { connection.instance = .endpoint("e\(number)") }
      return connection
    }
  }

  var milliseconds: Int { world.now / 1000 }

  var queueState: QueueState {
    QueueState(
      epoch: model.epoch, redisRunID: model.redisRunID, outboxClasses: model.outboxClasses,
      refillClasses: model.refillClasses, isFull: model.isFull, fullConnections: model.fullConnections,
      rulesVersion: SimulatedQueue.rulesVersion)
  }

  func connection(of lane: Int64) -> Int64 { lane / 10 }

  private func place(_ lane: Int64) -> LedgerModel.LaneID64 { .init(lane: lane, parkedBy: connection(of: lane)) }

  /// A change of the desired state and its job, in one transaction.
  func change(_ access: Access, to isWanted: Bool) {
    version += 1
    desired[access] = isWanted
    let id = model.submit(
      isWanted ? .subscribe : .revoke, isWanted ? .interactive : .revoke, access.scope, in: place(access.lane),
      version: version, now: milliseconds)
    model.flush()
    world.note("desired \(access) \(isWanted) by job \(id)")
    announce()
  }

  func submitSync(of connection: Int64, isSweep: Bool = false) {
    for lane in connections[connection]?.lanes ?? [] {
      let scope: JobScope = isSweep ? .sweep : .database(lane)
      model.submit(.sync, .bulk, scope, in: place(lane), version: version, now: milliseconds)
    }
    announce()
  }

  func accesses(of jobs: [ClaimedJob], in lane: Int64) -> [Access] {
    if jobs.contains(where: { $0.kind == .sync }) { return desired.keys.filter { $0.lane == lane }.sorted() }
    return Set(jobs.compactMap { access(of: $0.scope, in: lane) }).sorted()
  }

  func access(of scope: JobScope, in lane: Int64) -> Access? {
    guard let user = scope.identity, let table = scope.securable else { return nil }
    return Access(lane: lane, user: user, table: table)
  }

  /// Schedulers hear of the classes, unless the announcement was not of jobs alone.
  func announce() {
    for listener in listeners { listener.set(world.happens(0.9) ? model.outboxClasses : []) }
    listeners = []
  }

  func listen(_ reply: Reply<Set<JobClass>>) { listeners.append(reply) }

  func restart() {
    run += 1
    model.crash()
    (leader, keeper, outboxHolder) = (nil, nil, nil)
    for listener in listeners { listener.set([]) }
    listeners = []
  }

  func lead(_ session: SimulatedLedgerSession) -> Bool {
    if leader == nil { leader = session }
    return leader === session
  }

  func keepQueue(_ session: SimulatedLedgerSession) -> Bool {
    if keeper == nil { keeper = session }
    return keeper === session
  }

  func end(_ session: SimulatedLedgerSession) {
    session.isOpen = false
    if leader === session { leader = nil }
    if keeper === session { keeper = nil }
  }
}

// What must hold at every accepted result.
extension SimulatedLedger {
  func settle(_ results: [JobResult], _ fence: Fence) -> [Int64: JobState] {
    let before = model
    let accepted = model.settle(
      results, fence, ignoresFences: world.mutation == .ledgerIgnoresFences, now: milliseconds)
    model.flush()
    for result in results where accepted[result.id] != nil {
      guard let row = before.rows[result.id] else { continue }
      if row.fence != fence {
        world.violate("job \(row.id) was settled under \(fence), but it is \(row.fence as Any)'s")
      }
      if case .completed = result.outcome { checkEnforced(row) }
      if case .discarded = result.outcome { retrySoon(row.id) }
      let attempts = model.rows[row.id]?.attempt ?? 0
      let (wanted, broken) = (wantedFailures[row.id] ?? 0, breaks[row.id] ?? 0)
      let failures = wanted + (wanted == 0 ? max(0, broken - 2) : broken)
      if attempts > failures + 1 {
        world.violate("job \(row.id) spent \(attempts) attempts, but failed \(failures) times")
      }
    }
    return accepted
  }

  /// Somebody may be quick: the queue has not yet heard that the job is done with.
  private func retrySoon(_ id: Int64) {
    guard world.happens(0.8) else { return }
    world.after(world.draw(0...(.milliseconds(20)))) { self.retry(id) }
  }

  func retry(_ id: Int64) {
    world.note("retry \(id)")
    wantedFailures[id] = 0
    model.retry(id, now: milliseconds)
    model.flush()
    announce()
  }

  /// A job is done only when the target was made equal to a desired state that is as new as the job.
  private func checkEnforced(_ row: LedgerModel.Row) {
    guard let access = access(of: row.scope, in: row.lane.lane) else { return }
    if enforced[access] ?? 0 < row.version {
      world.violate("job \(row.id) is completed, but its target was last made equal to an older desired state")
    }
  }
}

/// A session: it ends with the server's run.
///
/// `@unchecked`: see `World`.
final class SimulatedLedgerSession: LedgerSession, @unchecked Sendable {
  let ledger: SimulatedLedger
  let process: SimulatedProcess
  var isOpen = true
  private let run: Int

  init(_ ledger: SimulatedLedger, _ process: SimulatedProcess) {
    (self.ledger, self.process, run) = (ledger, process, ledger.run)
  }

  private func call<Value: Sendable>(
    _ what: String, _ effect: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await ledger.call(what, from: process, lost: LedgerLost() as any Error, cancelled: CancellationError()) {
      guard self.isOpen, self.ledger.run == self.run else { throw LedgerLost() }
      return try effect()
    }
  }

  func listenToOutbox() async throws { try await call("listen") {} }

  func awaitOutbox(atMost longest: Duration) async throws -> Set<JobClass> {
    let reply = Reply<Set<JobClass>>()
    ledger.listen(reply)
    ledger.world.after(longest.microseconds) { reply.set([]) }
    let announced = await reply.get(orWhenCancelled: [])
    try Task.checkCancellation()
    guard ledger.isUp, ledger.run == run else { throw LedgerLost() }
    return announced
  }

  func queueState() async throws -> QueueState { try await call("queue state") { self.ledger.queueState } }

  func handOver(
    _ jobClass: JobClass, in state: QueueState, round: inout OutboxRound, limit: Int,
    _ enqueue: @Sendable ([OutboxJob]) async throws -> Void
  ) async throws -> Int {
    let (ledger, before) = (ledger, round)
    let (holder, taken) = try await call("outbox \(jobClass)") { () -> (Int?, LedgerModel.Taken) in
      let full = jobClass == .revoke ? [] : state.fullConnections
      let taken = ledger.model.takeOutbox(
        jobClass, epoch: state.epoch, round: before, limit: limit, without: full, now: ledger.milliseconds)
      guard ledger.outboxHolder == nil else { return (nil, taken) }
      ledger.lastOutboxHolder += 1
      let holder = ledger.lastOutboxHolder
      ledger.outboxHolder = holder
      // Nobody may ever hear of it.
      ledger.world.after(.seconds(10)) { if ledger.outboxHolder == holder { ledger.outboxHolder = nil } }
      return (holder, taken)
    }
    guard let holder else { return 0 }
    // The lock ends with the transaction, however that ends.
    let end: @Sendable () -> Void = { if ledger.outboxHolder == holder { ledger.outboxHolder = nil } }
    let forget = process.hold(end)
    defer {
      forget()
      end()
    }
    if !taken.jobs.isEmpty { try await enqueue(taken.jobs) }
    try await call("told of \(taken.jobs.map(\.id)) in \(state.epoch)") {
      guard ledger.outboxHolder == holder else { throw LedgerLost() }
      ledger.model.commit(taken)
      ledger.model.flush()
    }
    round = taken.round
    return taken.jobs.count
  }

  func tryToLead() async throws -> Bool { try await call("lead") { self.ledger.lead(self) } }
  func tryToKeepQueue() async throws -> Bool { try await call("keep the queue") { self.ledger.keepQueue(self) } }
}

struct LedgerLost: Error {}
