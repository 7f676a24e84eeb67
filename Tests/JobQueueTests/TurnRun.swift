import JobQueue
import Platform
import QueueModelKit
import RandomTestKit
import RedisTestKit

/// A seeded run of workers that lease, and of jobs that come in patterns: a backlog, a job whenever there is none, a
/// burst. It says who was passed over, in sentences that know nothing of how the order comes about.
struct TurnRun {
  private enum Flow: CaseIterable { case none, backlog, trickle, bursts }
  private struct Stream: Hashable { let lane: LaneID, jobClass: JobClass }
  private struct Turn: Hashable { let connection: Int64, jobClass: JobClass }

  private let queue: LaneQueue
  private let limit: Int
  /// What the workers take that lease in turn.
  private let classes: [Set<JobClass>]
  private let mostHeld: Int
  private var random: SeededGenerator
  private var flows: [Stream: Flow] = [:]
  private var nextNumber: Int64 = 1
  private var waiting: [Stream: Set<Int64>] = [:]
  private var held: [Lease] = []
  /// By who waits: jobs of his class that each other lane of the connection, or connection, has had meanwhile.
  private var lanesBefore: [Stream: [LaneID: Int]] = [:]
  private var connectionsBefore: [Turn: [Int64: Int]] = [:]
  /// By what workers take and the class that waits: leases meanwhile.
  private var leasesBefore: [Set<JobClass>: [JobClass: Int]] = [:]

  init(redis: PrivateRedis, seed: UInt64, scripts: QueueScripts = .embedded) {
    queue = LaneQueue(client: redis.client(), wakeClient: redis.client(), scripts: scripts)
    random = SeededGenerator(seed: seed)
    limit = [1, 2, 7, 16].randomElement(using: &random)!
    let all = Set(JobClass.allCases)
    let crews: [[Set<JobClass>]] = [[all], [all, [.revoke]], [all, [.interactive, .bulk]]]
    classes = crews.randomElement(using: &random)!
    mostHeld = .random(in: 0...2, using: &random)
    for lane in Int64(1)...5 {
      for jobClass in JobClass.allCases {
        flows[Stream(lane: LaneID(connection: lane % 3 + 1, lane: lane), jobClass: jobClass)] =
          Flow.allCases.randomElement(using: &random)!
      }
    }
  }

  mutating func run(leases: Int) async throws {
    _ = try await queue.establish(epoch: 1)
    for turn in 0..<leases {
      try await fill()
      let classes = classes[turn % classes.count]
      if case .leased(let lease) = try await queue.lease(worker: "w", limit: limit, classes: classes) {
        do { try note(lease, classes) } catch let error as Divergence {
          throw Divergence("lease \(turn), limit \(limit), workers of \(self.classes), \(flows): \(error)")
        }
        held.append(lease)
      }
      if held.count > mostHeld {
        let lease = held.removeFirst()
        try await queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
    }
  }

  private mutating func fill() async throws {
    var jobs: [QueuedJob] = []
    for (stream, flow) in flows.sorted(by: { ($0.key.lane, $0.key.jobClass) < ($1.key.lane, $1.key.jobClass) }) {
      let depth = waiting[stream]?.count ?? 0
      let fresh =
        switch flow {
        case .none: 0
        case .backlog: depth < 100 ? 200 : 0
        case .trickle: depth == 0 ? 1 : 0
        case .bursts: Int.random(in: 0..<30, using: &random) == 0 ? 50 : 0
        }
      for _ in 0..<fresh {
        jobs.append(QueuedJob(number: nextNumber, lane: stream.lane, jobClass: stream.jobClass, kind: .sync))
        waiting[stream, default: []].insert(nextNumber)
        nextNumber += 1
      }
    }
    if !jobs.isEmpty { _ = try await queue.enqueue(jobs, epoch: 1) }
  }

  /// Checks a lease against who else waited, and takes its jobs out.
  private mutating func note(_ lease: Lease, _ classes: Set<JobClass>) throws {
    var taken: [JobClass: Int] = [:]
    for jobClass in classes.sorted() {
      let stream = Stream(lane: lease.lane, jobClass: jobClass)
      guard let jobs = waiting[stream], !jobs.isEmpty else { continue }
      taken[jobClass] = jobs.intersection(lease.jobs).count
      waiting[stream]?.subtract(lease.jobs)
      if taken[jobClass] == 0 { throw Divergence("the batch of \(lease.lane) has no \(jobClass)") }
    }
    // Who could not be taken now was not passed over.
    let busy = Set(held.map(\.lane)).union([lease.lane])
    let open = Set(waiting.keys.filter { $0.jobClass == highest($0.lane) && !busy.contains($0.lane) })
    let served = taken.keys.min() ?? .bulk
    try checkRides(lease.lane, taken, served, in: open.filter { classes.contains($0.jobClass) })
    try checkLanes(lease.lane, taken[served] ?? 0, served, in: open)
    try checkConnections(lease.lane.connection, taken[served] ?? 0, served, in: open)
    try checkClasses(served, classes, in: open)
  }

  private func highest(_ lane: LaneID) -> JobClass? {
    JobClass.allCases.first { waiting[Stream(lane: lane, jobClass: $0)]?.isEmpty == false }
  }

  /// No more than an eighth of a batch is of a class, or below it, that somebody waits in while a higher one is served.
  private func checkRides(
    _ lane: LaneID, _ taken: [JobClass: Int], _ served: JobClass, in open: Set<Stream>
  ) throws {
    for stream in open {
      let riding = taken.filter { $0.key > served && $0.key >= stream.jobClass }.values.reduce(0, +)
      if riding > max(2, (limit + 7) / 8) { throw Divergence("\(riding) jobs of \(lane) ride in front of \(stream)") }
    }
  }

  /// A lane that waits is not passed over for more than a few batches by another of its connection, whatever that one
  /// has done before, and however small its batches are.
  private mutating func checkLanes(_ lane: LaneID, _ jobs: Int, _ served: JobClass, in open: Set<Stream>) throws {
    lanesBefore = lanesBefore.filter { open.contains($0.key) }
    for stream in open where stream.jobClass == served && stream.lane.connection == lane.connection {
      lanesBefore[stream, default: [:]][lane, default: 0] += jobs
      let count = lanesBefore[stream]?[lane] ?? 0
      if count > 4 * limit { throw Divergence("\(stream) waits for \(count) jobs of lane \(lane)") }
    }
  }

  private mutating func checkConnections(
    _ connection: Int64, _ jobs: Int, _ served: JobClass, in open: Set<Stream>
  ) throws {
    let turns = Set(open.map { Turn(connection: $0.lane.connection, jobClass: $0.jobClass) })
    connectionsBefore = connectionsBefore.filter { turns.contains($0.key) }
    connectionsBefore[Turn(connection: connection, jobClass: served)] = nil
    for turn in turns where turn.jobClass == served && turn.connection != connection {
      connectionsBefore[turn, default: [:]][connection, default: 0] += jobs
      let count = connectionsBefore[turn]?[connection] ?? 0
      if count > 4 * limit { throw Divergence("\(turn) waits for \(count) jobs of connection \(connection)") }
    }
  }

  /// Of eight leases by workers of the same classes, one serves each class that somebody waits in.
  private mutating func checkClasses(_ served: JobClass, _ classes: Set<JobClass>, in open: Set<Stream>) throws {
    for jobClass in classes {
      let isServed = served == jobClass || !open.contains { $0.jobClass == jobClass }
      let count = isServed ? 0 : (leasesBefore[classes]?[jobClass] ?? 0) + 1
      leasesBefore[classes, default: [:]][jobClass] = count
      if count > 8 { throw Divergence("\(jobClass) waits for \(count) leases of workers of \(classes)") }
    }
  }
}
