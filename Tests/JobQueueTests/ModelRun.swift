import JobQueue
import Platform
import QueueModelKit
import RandomTestKit
import Redis
import RedisTestKit

/// The scripts did something else than the model.
struct Divergence: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// One seeded run: draws an operation, gives it to the queue and to the model, and compares what they answer and all
/// that Redis keeps.
struct ModelRun {
  let client: RedisClient
  let queue: LaneQueue
  var model: QueueModel
  private let wakeClient: RedisClient
  private var random: SeededGenerator
  private var seen: [Lease] = []
  private var lastFence = Fence(epoch: 0, sequence: 0)
  private var nextNumber: Int64 = 1

  init(redis: PrivateRedis, seed: UInt64, scripts: QueueScripts = .timed()) {
    (client, wakeClient) = (redis.client(), redis.client())
    var configuration = LaneQueue.Configuration()
    configuration.mostWaiting = 150
    configuration.mostWaitingOfConnection = 36
    queue = LaneQueue(client: client, wakeClient: wakeClient, configuration: configuration, scripts: scripts)
    model = QueueModel(ttl: queue.configuration.leaseTTL.wholeMilliseconds)
    random = SeededGenerator(seed: seed)
  }

  /// Runs the steps.
  ///
  /// - Throws: `Divergence` at the first step after which Redis and the model differ.
  mutating func run(steps: Int, seed: UInt64) async throws {
    try await setClock()
    try await requireNothingSettles()
    try require(try await queue.establish(epoch: 1), "the epoch was not established")
    for step in 1...steps {
      let action: String
      do { action = try await self.step() } catch { throw Divergence("seed \(seed), step \(step): \(error)") }
      let (actual, expected) = (try await QueueSnapshot.lines(of: client), model.lines)
      if actual == expected {
        let faults = try await queue.faults()
        try require(faults.isEmpty, "seed \(seed), step \(step), \(action): an inspection finds \(faults)")
        continue
      }
      let surplus = Set(actual).subtracting(expected).sorted()
      let missing = Set(expected).subtracting(actual).sorted()
      throw Divergence(
        "seed \(seed), step \(step), \(action), \(model.delayed.count) delayed: "
          + "Redis has \(surplus), the model has \(missing)"
      )
    }
  }

  /// A queue without a memory settles nothing.
  private func requireNothingSettles() async throws {
    let lease = Lease(
      lane: Self.lane(0), fence: lastFence, jobs: [], worker: "w", ttl: .zero, trustedUntil: .after(.zero),
      isHalfOpen: false)
    do { try await queue.settle(lease, [:]) } catch let error where error.code == .epochLost {
      return
    }
    throw Divergence("a queue without a memory has settled")
  }

  private func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
    if !condition { throw Divergence(text()) }
  }

  /// Draws and does one operation; returns its name.
  private mutating func step() async throws -> String {
    if Int.random(in: 0..<3, using: &random) == 0 { try await takeTokens() }
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<18: return try await enqueue()
    case 18..<20: return try await beat()
    case 20..<46: return try await lease()
    case 46..<60: return try await settle()
    case 60..<66: return try await settleThenLease()
    case 66..<70: return try await extend()
    case 70..<75: return try await park()
    case 75..<78: return try await parkLane()
    case 78..<82: return try await wake()
    case 82..<86: return try await changeRules()
    case 86..<89: return try await cancel()
    case 89..<91: return try await look()
    case 91..<92: return try await misjudgeTheEpoch()
    case 92..<99: return try await advance()
    default: return Int.random(in: 0..<3, using: &random) == 0 ? try await forget() : try await lease()
    }
  }

  private func setClock() async throws { _ = try await client.send(["SET", "{sluice:0}:clock", String(model.now)]) }

  private mutating func draw<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }

  private mutating func drawLane() -> LaneID { Self.lane(.random(in: 0...11, using: &random)) }

  private static func lane(_ number: Int64) -> LaneID { LaneID(connection: number % 4, lane: number % 12 + 1) }

  /// Class, kind and lane follow from the number, as in the ledger.
  private func job(_ number: Int64, delay: Duration? = nil) -> QueuedJob {
    QueuedJob(
      number: number, lane: Self.lane(number), jobClass: JobClass(rawValue: Int(number / 12 % 3))!,
      kind: JobKind.allCases[Int(number / 36 % 4)], delay: delay)
  }

  private mutating func enqueue() async throws -> String {
    let fresh = Int64.random(in: 0...20, using: &random)
    var numbers = Set(nextNumber..<(nextNumber + fresh))
    nextNumber += fresh
    for _ in 0..<3 { numbers.insert(.random(in: 1...nextNumber, using: &random)) }
    nextNumber = max(nextNumber, (numbers.max() ?? 0) + 1)
    let delays: [Duration?] = [nil, nil, .seconds(3), .seconds(40)]
    var jobs = numbers.sorted().map { job($0, delay: draw(delays)) }
    // As when a job is new, and told again.
    jobs += numbers.shuffled(using: &random).prefix(2).map { job($0, delay: draw(delays)) }
    try await offer(jobs)
    return "enqueue"
  }

  private mutating func offer(_ jobs: [QueuedJob]) async throws {
    let limits = queue.configuration
    let expected = model.enqueue(
      jobs, most: limits.mostWaiting, mostOfConnection: limits.mostWaitingOfConnection)
    do {
      let (actual, all) = (try await queue.enqueue(jobs, epoch: model.epoch), Set(Int64(1)...3))
      try require(
        expected.map { ($0.added, $0.full) == (actual.added, actual.full) } == true,
        "\(actual) came of it, the model says \(expected as Any)")
      let depths = try await queue.depths(of: all)
      try require(all.allSatisfy { depths[$0] == model.depth(of: $0) }, "the depths are \(depths)")
    } catch let error as JobQueueError {
      try require(expected == nil && error.code == .full, "\(error)")
    }
  }

  private mutating func lease() async throws -> String {
    let limit = draw([1, 2, 3, 16, 200])
    let all = Set(JobClass.allCases)
    let classes = draw([all, all, all, all, [.revoke], [.bulk, .interactive]])
    let reply = try await queue.lease(worker: "w", limit: limit, classes: classes)
    try check(reply, limit: limit, classes: classes)
    return "lease of \(limit) in \(classes.sorted())"
  }

  private mutating func check(_ reply: LeaseReply, limit: Int, classes: Set<JobClass>) throws {
    model.catchUp()
    let expected = model.next(classes)
    switch reply {
    case .empty(let nextDue):
      try require(expected == nil, "nothing was leased, the model leases \(expected!)")
      try require(nextDue?.wholeMilliseconds == model.nextDue, "due in \(String(describing: nextDue))")
    case .leased(let lease):
      try require(lease.lane == expected, "\(lease.lane) was leased, the model leases \(String(describing: expected))")
      let taken = model.take(lease.lane, limit: limit, classes: classes, worker: lease.worker)
      try require(
        lease.jobs == taken?.jobs && lease.fence == taken?.fence && lease.isHalfOpen == taken?.isHalfOpen,
        "\(lease) was leased, the model leases \(String(describing: taken))")
      try require(lease.fence > lastFence, "fence \(lease.fence) does not rise above \(lastFence)")
      let due = model.nextDue(of: classes)
      try require(lease.nextDue?.wholeMilliseconds == due, "the next is due in \(String(describing: lease.nextDue))")
      lastFence = lease.fence
      seen.append(lease)
    }
  }

  /// Mostly one of the last leases, which may be current; sometimes an old one.
  private mutating func drawLease() -> Lease? {
    Bool.random(using: &random) ? seen.suffix(6).randomElement(using: &random) : seen.randomElement(using: &random)
  }

  private mutating func drawSettlements(_ lease: Lease) -> [Int64: Settlement] {
    let kinds: [Settlement?] = [
      .done(.completed), .done(.completed), .done(.discarded), .done(.cancelled), .again(after: .seconds(2)),
      .again(after: .zero), .back, nil,
    ]
    let only = Bool.random(using: &random) ? draw(kinds) : nil
    return lease.jobs.reduce(into: [:]) { $0[$1] = only ?? draw(kinds) }
  }

  private mutating func settle() async throws -> String {
    guard let lease = drawLease() else { return "nothing" }
    let settlements = drawSettlements(lease)
    let isAccepted = model.settle(lease, settlements)
    try await expect(isAccepted) { () throws(JobQueueError) in try await queue.settle(lease, settlements) }
    return "settle \(lease.lane) \(lease.fence)"
  }

  private mutating func settleThenLease() async throws -> String {
    guard let lease = drawLease() else { return "nothing" }
    let settlements = drawSettlements(lease)
    let isAccepted = model.settle(lease, settlements, leasesNext: true)
    var reply: LeaseReply?
    try await expect(isAccepted) { () throws(JobQueueError) in
      reply = try await queue.settle(lease, settlements, thenLeaseAs: "w", limit: 8)
    }
    if let reply { try check(reply, limit: 8, classes: Set(JobClass.allCases)) }
    return "settle \(lease.lane) \(lease.fence), then lease"
  }

  private mutating func extend() async throws -> String {
    guard let lease = drawLease() else { return "nothing" }
    let isCurrent = model.extend(lease)
    try require(try await queue.extend(lease) == isCurrent, "extended: \(!isCurrent)")
    return "extend \(lease.lane) \(lease.fence)"
  }

  private mutating func park() async throws -> String {
    let lease = Bool.random(using: &random) ? drawLease() : nil
    let connection = lease?.lane.connection ?? .random(in: 1...3, using: &random)
    if connection == 0 { return "nothing" }
    let isAccepted = model.park(connection, for: 20_000, releasing: lease)
    try await expect(isAccepted) { () throws(JobQueueError) in
      try await queue.park(connection: connection, for: .seconds(20), releasing: lease)
    }
    return "park \(connection)"
  }

  private mutating func parkLane() async throws -> String {
    let lease = Bool.random(using: &random) ? drawLease() : nil
    let lane = lease?.lane ?? drawLane()
    let isAccepted = model.park(lane, for: 4_000, releasing: lease)
    try await expect(isAccepted) { () throws(JobQueueError) in
      try await queue.park(lane: lane, for: .seconds(4), releasing: lease)
    }
    return "park \(lane)"
  }

  private mutating func wake() async throws -> String {
    if Bool.random(using: &random) {
      let lane = drawLane()
      let wasParked = model.wake(lane)
      try require(try await queue.wake(lane: lane) == wasParked, "woken: \(!wasParked)")
      return "wake \(lane)"
    }
    let connection = Int64.random(in: 1...3, using: &random)
    let wasParked = model.wake(connection)
    try require(try await queue.wake(connection: connection) == wasParked, "woken: \(!wasParked)")
    return "wake \(connection)"
  }

  private mutating func changeRules() async throws -> String {
    let isStale = Int.random(in: 0..<8, using: &random) == 0
    var rules = QueueRules(
      version: (model.rules?.version ?? 0) + (isStale ? 0 : 1), isPaused: Int.random(in: 0..<5, using: &random) == 0,
      mostLanes: draw([1, 2, 16]))
    for connection in Int64(1)...3 where Bool.random(using: &random) {
      rules.connections[connection] = .init(weight: draw([1, 2, 5]), mostLanes: draw([nil, 1, 2]))
    }
    for lane in Int64(0)...11 where Int.random(in: 0..<3, using: &random) == 0 {
      rules.lanes[Self.lane(lane)] = .init(weight: draw([1, 3]), isPaused: draw([false, false, true]))
    }
    let isNewer = model.apply(rules)
    try require(try await queue.apply(rules) == isNewer, "the rules were taken: \(!isNewer)")
    return "rules \(rules)"
  }

  private mutating func cancel() async throws -> String {
    let late = model.delayed.keys.map(\.number).sorted()
    let number = Bool.random(using: &random) ? late.randomElement(using: &random) : nil
    let job = job(number ?? .random(in: 1...nextNumber, using: &random))
    let wasThere = model.cancel(QueueModel.Job(job))
    try require(try await queue.cancel(job) == wasThere, "cancelled: \(!wasThere)")
    return "cancel \(job.number)"
  }

  /// As workers do that wait for work: they take all tokens there are.
  private mutating func takeTokens() async throws {
    for jobClass in JobClass.allCases {
      let reply = try await client.send(["LPOP", "{sluice:0}:wake:\(jobClass.rawValue)", "10"])
      let count = reply.isNull ? 0 : try reply.requireArray().count
      let expected = model.tokens.removeValue(forKey: jobClass) ?? 0
      try require(count == expected, "\(count) tokens of \(jobClass), the model has \(expected)")
    }
  }

  private mutating func beat() async throws -> String {
    let (name, leaves) = (draw(["w", "x", "y"]), Int.random(in: 0..<4, using: &random) == 0)
    let beat = WorkerBeat(
      name: name, host: "h", processID: 1, startedAt: "2026-01-01T00:00:00Z", version: "1", concurrency: 1, classes: [])
    if leaves { try await queue.leave(worker: name) } else { try await queue.beat(beat) }
    model.beat(name, leaves: leaves, silence: LaneQueue.longestSilence.wholeMilliseconds)
    return "\(name) \(leaves ? "leaves" : "lives")"
  }

  /// What can be asked is answered as the model would; the listings are read by pages of three.
  private mutating func look() async throws -> String {
    let stats = try await queue.stats()
    try require(stats.waitingTotal == model.waiting.count, "stats count \(stats.waitingTotal) waiting")
    try require(stats.delayed == model.delayed.count, "stats count \(stats.delayed) delayed")
    try require(stats.leases.count == model.leases.count, "stats list \(stats.leases.count) leases")
    var parked = 0
    for job in model.waiting where model.phases[job.lane.connection] != nil || model.parkedLanes[job.lane] != nil {
      parked += 1
    }
    try require(stats.parked == parked, "stats count \(stats.parked) parked, the model \(parked)")
    var lanes: [LaneDepth] = []
    while case let page = try await queue.lanes(after: lanes.last?.lane, limit: 3), !page.isEmpty { lanes += page }
    let depths = Dictionary(grouping: model.waiting, by: \.lane).mapValues(\.count)
    try require(lanes.map(\.lane) == depths.keys.sorted(), "lanes are listed as \(lanes)")
    try require(lanes.allSatisfy { depths[$0.lane] == $0.waiting }, "depths are listed as \(lanes)")
    guard let lane = depths.keys.sorted().first else { return "look" }
    var jobs: [QueuedJob] = []
    while case let page = try await queue.jobs(of: lane, after: jobs.last, limit: 3), !page.isEmpty { jobs += page }
    let expected = model.waiting.filter { $0.lane == lane }.sorted().map(\.number)
    try require(jobs.map(\.number) == expected, "jobs of \(lane) are listed as \(jobs.map(\.number))")
    return "look"
  }

  /// A scheduler that knows an older epoch, or a newer one: nothing changes.
  private mutating func misjudgeTheEpoch() async throws -> String {
    try require(try await queue.establish(epoch: model.epoch), "its own epoch was not established")
    if model.epoch > 1 {
      try require(try await queue.establish(epoch: model.epoch - 1) == false, "an older epoch was established")
    }
    do {
      _ = try await queue.enqueue([job(nextNumber)], epoch: model.epoch + 1)
      throw Divergence("jobs of another epoch were taken in")
    } catch let error as JobQueueError { try require(error.code == .epochLost, "\(error)") }
    return "misjudge the epoch"
  }

  /// Clocks of servers are set back, too.
  private mutating func advance() async throws -> String {
    model.now += draw([1, 1000, 5000, model.ttl - 1, model.ttl, -3000, LaneQueue.longestSilence.wholeMilliseconds])
    try await setClock()
    return "advance"
  }

  /// Redis loses everything, and the ledger fills it again with whatever is not settled.
  private mutating func forget() async throws -> String {
    let unfinished = Set(model.waiting).union(model.delayed.keys).union(model.leases.values.flatMap(\.jobs))
    let isFlushed = Bool.random(using: &random)
    if isFlushed {
      _ = try await client.send(["FLUSHALL"])
      model.workers = [:]
      try await setClock()
    }
    let epoch = model.epoch + 1
    try require(try await queue.establish(epoch: epoch), "the epoch was not established")
    model.establish(epoch)
    try await offer(unfinished.map { job($0.number) })
    return isFlushed ? "flush" : "new epoch"
  }

  private func expect(_ isAccepted: Bool, _ call: () async throws(JobQueueError) -> Void) async throws {
    do {
      try await call()
      try require(isAccepted, "what is not current was accepted")
    } catch let error as JobQueueError {
      try require(!isAccepted && error.code == .fenced, "\(error)")
    }
  }
}
