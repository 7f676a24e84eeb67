import JobQueue
import Platform
import Redis
import RedisTestKit
import Testing

/// One seeded run: draws an operation, gives it to the queue and to the model, and compares what they answer.
struct ModelRun {
  let client: RedisClient
  let queue: LaneQueue
  var model: QueueModel
  private let wakeClient: RedisClient
  private var random: SeededGenerator
  private var seen: [Lease] = []
  private var lastFence = Fence(epoch: 0, sequence: 0)
  private var nextNumber: Int64 = 1

  init(redis: PrivateRedis, seed: UInt64) {
    (client, wakeClient) = (redis.client(), redis.client())
    queue = LaneQueue(client: client, wakeClient: wakeClient)
    model = QueueModel(ttl: queue.configuration.leaseTTL.wholeMilliseconds)
    random = SeededGenerator(state: seed)
  }

  mutating func begin() async throws {
    try await setClock()
    #expect(try await queue.establish(epoch: 1))
  }

  /// Draws and does one operation; returns its name.
  mutating func step() async throws -> String {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<22: return try await enqueue()
    case 22..<48: return try await lease()
    case 48..<62: return try await settle()
    case 62..<68: return try await settleThenLease()
    case 68..<73: return try await extend()
    case 73..<79: return try await park()
    case 79..<83: return try await wake()
    case 83..<88: return try await pauseOrResume()
    case 88..<91: return try await remove()
    case 91..<99: return try await advance()
    default: return try await forget()
    }
  }

  private func setClock() async throws { _ = try await client.send(["SET", "{sluice:0}:clock", String(model.now)]) }

  private mutating func draw<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random)! }

  private mutating func drawLane() -> LaneID {
    LaneID(connection: .random(in: 0...3, using: &random), lane: .random(in: 1...3, using: &random))
  }

  /// Class and lane follow from the number, as in the ledger.
  private func job(_ number: Int64, delay: Duration? = nil) -> QueuedJob {
    let lane = LaneID(connection: number % 4, lane: number / 4 % 3 + 1)
    let jobClass = JobClass(rawValue: Int(number / 12 % 3))!
    return QueuedJob(number: number, lane: lane, jobClass: jobClass, delay: delay)
  }

  private mutating func enqueue() async throws -> String {
    let fresh = Int64.random(in: 0...20, using: &random)
    var numbers = Set(nextNumber..<(nextNumber + fresh))
    nextNumber += fresh
    for _ in 0..<3 { numbers.insert(.random(in: 1...nextNumber, using: &random)) }
    nextNumber = max(nextNumber, (numbers.max() ?? 0) + 1)
    let delays: [Duration?] = [nil, nil, .seconds(3), .seconds(40)]
    let jobs = numbers.sorted().map { job($0, delay: draw(delays)) }
    #expect(try await queue.enqueue(jobs).added == model.enqueue(jobs))
    return "enqueue"
  }

  private mutating func lease() async throws -> String {
    let limit = draw([1, 3, 16, 200])
    let classes = draw([Set(JobClass.allCases), Set(JobClass.allCases), [.revoke], [.bulk, .interactive]])
    let reply = try await queue.lease(worker: "w", limit: limit, classes: classes)
    check(reply, limit: limit, classes: classes)
    return "lease of \(limit) in \(classes.sorted())"
  }

  private mutating func check(_ reply: LeaseReply, limit: Int, classes: Set<JobClass>) {
    model.catchUp()
    let candidates = model.candidates(classes)
    switch reply {
    case .empty(let nextDue):
      #expect(candidates.isEmpty)
      #expect(nextDue?.wholeMilliseconds == model.nextDue)
    case .leased(let lease):
      #expect(candidates.contains(lease.lane))
      let taken = model.take(lease.lane, limit: limit, classes: classes, worker: lease.worker)
      #expect(lease.jobs == taken.jobs && lease.fence == taken.fence && lease.isHalfOpen == taken.isHalfOpen)
      #expect(lease.fence > lastFence)
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
    if model.leases[lease.lane]?.fence == lease.fence {
      let reply = try await queue.settle(lease, settlements, thenLeaseAs: "w", limit: 8)
      _ = model.settle(lease, settlements)
      check(reply, limit: 8, classes: Set(JobClass.allCases))
    }
    return "settle \(lease.lane) \(lease.fence), then lease"
  }

  private mutating func extend() async throws -> String {
    guard let lease = drawLease() else { return "nothing" }
    #expect(try await queue.extend(lease) == model.extend(lease))
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

  private mutating func wake() async throws -> String {
    let connection = Int64.random(in: 1...3, using: &random)
    #expect(try await queue.wake(connection: connection) == model.wake(connection))
    return "wake \(connection)"
  }

  private mutating func pauseOrResume() async throws -> String {
    let lane: LaneID? = Int.random(in: 0..<6, using: &random) == 0 ? nil : drawLane()
    let isPause = Int.random(in: 0..<5, using: &random) < 2
    if isPause { try await queue.pause(lane: lane) } else { try await queue.resume(lane: lane) }
    if let lane {
      if isPause { model.pausedLanes.insert(lane) } else { model.pausedLanes.remove(lane) }
    } else {
      model.isPaused = isPause
    }
    return "\(isPause ? "pause" : "resume") \(lane?.description ?? "the queue")"
  }

  private mutating func remove() async throws -> String {
    let job = job(.random(in: 1...nextNumber, using: &random))
    #expect(try await queue.remove(job) == model.remove(QueueModel.Job(job)))
    return "remove \(job.number)"
  }

  private mutating func advance() async throws -> String {
    model.now += draw([1, 1000, 5000, model.ttl])
    try await setClock()
    return "advance"
  }

  /// Redis loses everything, and the ledger fills it again with whatever is not settled.
  private mutating func forget() async throws -> String {
    let unfinished = Set(model.waiting).union(model.delayed.keys).union(model.leases.values.flatMap(\.jobs))
    let isFlushed = Bool.random(using: &random)
    if isFlushed {
      _ = try await client.send(["FLUSHALL"])
      (model.pausedLanes, model.isPaused) = ([], false)
      try await setClock()
    }
    let epoch = model.epoch + 1
    #expect(try await queue.establish(epoch: epoch))
    model.establish(epoch)
    let jobs = unfinished.map { job($0.number) }
    #expect(try await queue.enqueue(jobs).added == model.enqueue(jobs))
    return isFlushed ? "flush" : "new epoch"
  }

  private func expect(_ isAccepted: Bool, _ call: () async throws(JobQueueError) -> Void) async throws {
    do throws(JobQueueError) {
      try await call()
      #expect(isAccepted)
    } catch {
      #expect(!isAccepted && error.code == .fenced, "\(error)")
    }
  }
}
