import FoundationEssentials
import Platform
import Redis

extension LaneQueue {
  /// The state of the shard; the cost does not grow with the number of jobs.
  package func stats() async throws(JobQueueError) -> QueueStats {
    let reply = try await run(.stats, [String(Self.longestListing)])
    return try decoding { () throws(RedisError) in try QueueStats(reply) }
  }

  /// Where a job is; answers "why is it not running".
  package func place(of job: QueuedJob) async throws(JobQueueError) -> JobPlace {
    let reply = try await run(.where, [job.lane.description, job.text])
    return try decoding { () throws(RedisError) in try JobPlace(reply) }
  }

  /// Lanes with waiting jobs, in order, from the one after `after`; at most `longestListing` at a time.
  package func lanes(after: LaneID? = nil, limit: Int = longestListing) async throws(JobQueueError) -> [LaneDepth] {
    let reply = try await run(.lanes, [after?.description ?? "", String(min(limit, Self.longestListing))])
    return try decoding { () throws(RedisError) in
      try rows(of: 5, reply) { row throws(RedisError) in
        let worker = try row[2].requireText()
        return LaneDepth(
          lane: try LaneID(row[0]), waiting: Int(try row[1].requireInteger()), worker: worker.isEmpty ? nil : worker,
          parkedFor: Duration(orNil: try row[3].requireInteger()), isPaused: try row[4].requireInteger() == 1)
      }
    }
  }

  /// Waiting jobs of a lane in the order in which they are taken, from the one after `after`; at most `longestListing`
  /// at a time.
  package func jobs(
    of lane: LaneID, after: QueuedJob? = nil, limit: Int = longestListing
  ) async throws(JobQueueError) -> [QueuedJob] {
    let arguments = [lane.description, after?.text ?? "", String(min(limit, Self.longestListing))]
    let reply = try await run(.jobs, arguments)
    return try decoding { () throws(RedisError) in
      var (rest, jobs) = (try reply.requireText()[...], [QueuedJob]())
      while !rest.isEmpty {
        guard let job = QueuedJob(rest.prefix(QueuedJob.textLength), lane: lane) else { throw notOurs("a job") }
        jobs.append(job)
        rest = rest.dropFirst(QueuedJob.textLength)
      }
      return jobs
    }
  }

  /// Says that a worker lives.
  package func beat(_ beat: WorkerBeat) async throws(JobQueueError) {
    let text: String
    do { text = String(decoding: try JSONEncoder().encode(beat), as: UTF8.self) } catch {
      throw JobQueueError(.refused, "a worker's description cannot be written as JSON: \(error)")
    }
    _ = try await run(.beat, [beat.name, text, String(Self.longestSilence.wholeMilliseconds)])
  }

  /// Says that a worker has ended by itself: it is forgotten at once.
  package func leave(worker: String) async throws(JobQueueError) {
    _ = try await run(.beat, [worker, "", String(Self.longestSilence.wholeMilliseconds)])
  }

  /// Workers that were heard of, the latest first, at most `longestListing`.
  package func workers() async throws(JobQueueError) -> [WorkerStatus] {
    let reply = try await run(.workers, [String(Self.longestListing)])
    return try decoding { () throws(RedisError) in
      try rows(of: 3, reply) { row throws(RedisError) in
        let text = try row[2].requireText()
        do {
          let beat = try JSONDecoder().decode(WorkerBeat.self, from: Data(text.utf8))
          return WorkerStatus(beat: beat, silence: .milliseconds(try row[1].requireInteger()))
        } catch let error as RedisError { throw error } catch { throw notOurs("a worker's description") }
      }
    }
  }
}

func notOurs(_ what: String) -> RedisError {
  RedisError(.protocolViolation, "the queue's state holds something that is not \(what); is its prefix shared?")
}

extension LaneID {
  fileprivate init(_ value: RedisValue) throws(RedisError) {
    guard let lane = LaneID(try value.requireText()) else { throw notOurs("a lane") }
    self = lane
  }
}

extension ConnectionPhase {
  init?(_ text: String, milliseconds: Int64) throws(RedisError) {
    switch text {
    case "": return nil
    case "parked": self = .parked(triedAgainIn: milliseconds < 0 ? nil : .milliseconds(milliseconds))
    case "half": self = .halfOpen
    default:
      guard let lane = LaneID(text) else { throw notOurs("a phase of a connection") }
      self = .probing(lane)
    }
  }
}

extension JobPlace {
  fileprivate init(_ reply: RedisValue) throws(RedisError) {
    let fields = try reply.requireArray(atLeast: 1)
    switch (try fields[0].requireText(), fields.count) {
    case ("delayed", 2): self = .delayed(.milliseconds(try fields[1].requireInteger()))
    case ("leased", 3):
      self = .leased(worker: try fields[1].requireText(), since: .milliseconds(try fields[2].requireInteger()))
    case ("waiting", 11): self = .waiting(try Waiting(fields))
    default: self = .absent
    }
  }
}

extension JobPlace.Waiting {
  fileprivate init(_ fields: [RedisValue]) throws(RedisError) {
    let worker = try fields[2].requireText()
    let till = try fields[5].requireInteger()
    self.init(
      ahead: Int(try fields[1].requireInteger()),
      holder: worker.isEmpty ? nil : Holder(worker: worker, since: .milliseconds(try fields[3].requireInteger())),
      phase: try ConnectionPhase(try fields[4].requireText(), milliseconds: till),
      laneParkedFor: Duration(orNil: try fields[6].requireInteger()),
      isLanePaused: try fields[7].requireInteger() == 1, isQueuePaused: try fields[8].requireInteger() == 1,
      lanesInWork: Int(try fields[9].requireInteger()))
    let cap = Int(try fields[10].requireInteger())
    mostLanes = cap < 0 ? nil : cap
  }
}

extension Duration {
  /// Milliseconds, of which -1 stands for nothing.
  fileprivate init?(orNil milliseconds: Int64) {
    guard milliseconds >= 0 else { return nil }
    self = .milliseconds(milliseconds)
  }
}

extension QueueStats {
  fileprivate init(_ reply: RedisValue) throws(RedisError) {
    let fields = try reply.requireArray(atLeast: 9)
    let counters = try dictionary(fields[1]).compactMapValues { Int($0) }
    func sum(_ names: [String]) -> Int { names.reduce(0) { $0 + (counters[$1] ?? 0) } }
    let letters = JobKind.allCases.map(\.letter)
    epoch = try fields[0].requireInteger()
    waiting = JobClass.allCases.reduce(into: [:]) { waiting, jobClass in
      waiting[jobClass] = sum(letters.map { "waiting:\(jobClass.rawValue)\($0)" })
    }
    kinds = JobKind.allCases.reduce(into: [:]) { kinds, kind in
      kinds[kind] = KindDepth(
        waiting: sum(JobClass.allCases.map { "waiting:\($0.rawValue)\(kind.letter)" }),
        leased: sum(["leased:\(kind.letter)"]), delayed: sum(["delayed:\(kind.letter)"]))
    }
    laneCount = Int(try fields[2].requireInteger())
    parked = Int(try fields[3].requireInteger())
    let depths = try rows(of: 5, fields[4]) { row throws(RedisError) in
      (try row[0].requireInteger(), try ConnectionDepth(row))
    }
    connections = Dictionary(depths, uniquingKeysWith: { first, _ in first })
    leases = try rows(of: 7, fields[5]) { row throws(RedisError) in try LeaseSummary(row) }
    guard let rules = QueueRules(fields: try dictionary(fields[6])) else { throw notOurs("a rule") }
    self.rules = rules
    totals = Totals(counters)
    rates = try Rates(since: fields[7], now: totals)
    leaseCount = Int(try fields[8].requireInteger())
  }
}

extension QueueStats.ConnectionDepth {
  fileprivate init(_ row: [RedisValue]) throws(RedisError) {
    waiting = Int(try row[1].requireInteger())
    lanesInWork = Int(try row[2].requireInteger())
    phase = try ConnectionPhase(try row[3].requireText(), milliseconds: try row[4].requireInteger())
  }
}

extension QueueStats.LeaseSummary {
  fileprivate init(_ row: [RedisValue]) throws(RedisError) {
    lane = try LaneID(row[0])
    worker = try row[1].requireText()
    fence = Fence(epoch: try row[2].requireInteger(), sequence: try row[3].requireInteger())
    jobs = Int(try row[4].requireInteger())
    since = .milliseconds(try row[5].requireInteger())
    expiresIn = .milliseconds(try row[6].requireInteger())
  }
}

extension QueueStats.Totals {
  fileprivate init(_ counters: [String: Int]) {
    enqueued = counters["enqueued"] ?? 0
    started = counters["started"] ?? 0
    completed = counters["completed"] ?? 0
    discarded = counters["discarded"] ?? 0
    cancelled = counters["cancelled"] ?? 0
    retried = counters["retried"] ?? 0
    returned = counters["returned"] ?? 0
    reaped = counters["reaped"] ?? 0
    orphans = counters["orphans"] ?? 0
    stale = counters["stale"] ?? 0
    leaseCalls = counters["leases"] ?? 0
    refused = counters["refused"] ?? 0
  }
}

extension QueueStats.Rates {
  fileprivate init(since sample: RedisValue, now: QueueStats.Totals) throws(RedisError) {
    self.init()
    let cells = try sample.requireArray(atLeast: 6)
    var values: [Double] = []
    for cell in cells { values.append(Double(try cell.requireInteger())) }
    guard values[0] > 0 else { return }
    func rate(_ total: Int, _ before: Double) -> Double { max(0, Double(total) - before) / values[0] * 1000 }
    enqueued = rate(now.enqueued, values[1])
    started = rate(now.started, values[2])
    settled = rate(now.completed + now.discarded + now.cancelled, values[3] + values[4] + values[5])
  }
}

private func dictionary(_ value: RedisValue) throws(RedisError) -> [String: String] {
  let pairs = try rows(of: 2, value) { row throws(RedisError) in (try row[0].requireText(), try row[1].requireText()) }
  return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
}

/// Splits a flat array into rows.
private func rows<Row>(
  of width: Int, _ value: RedisValue, _ make: ([RedisValue]) throws(RedisError) -> Row
) throws(RedisError) -> [Row] {
  let cells = try value.requireArray()
  guard cells.count.isMultiple(of: width) else { throw notOurs("a table of \(width) columns") }
  var result: [Row] = []
  for start in stride(from: 0, to: cells.count, by: width) {
    result.append(try make(Array(cells[start..<(start + width)])))
  }
  return result
}
