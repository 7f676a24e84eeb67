import Platform
import Redis

extension LaneQueue {
  /// The state of the shard; the cost does not grow with the number of jobs.
  package func stats() async throws(JobQueueError) -> QueueStats {
    let reply = try await run(QueueScript.stats, [String(Self.longestListing)])
    return try decoding { () throws(RedisError) in try QueueStats(reply) }
  }

  /// Where a job is; answers "why is it not running".
  package func place(of job: QueuedJob) async throws(JobQueueError) -> JobPlace {
    let reply = try await run(QueueScript.place, [job.lane.description, job.text])
    return try decoding { () throws(RedisError) in try JobPlace(reply) }
  }
}

private func notOurs(_ what: String) -> RedisError {
  RedisError(.protocolViolation, "the queue's state holds something that is not \(what); is its prefix shared?")
}

extension LaneID {
  fileprivate init(_ value: RedisValue) throws(RedisError) {
    guard let lane = LaneID(try value.requireText()) else { throw notOurs("a lane") }
    self = lane
  }
}

extension ConnectionPhase {
  fileprivate init?(_ text: String, milliseconds: Int64) throws(RedisError) {
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
    case ("leased", 2): self = .leased(worker: try fields[1].requireText())
    case ("waiting", 6):
      let worker = try fields[2].requireText()
      self = .waiting(
        ahead: Int(try fields[1].requireInteger()), laneLeasedTo: worker.isEmpty ? nil : worker,
        phase: try ConnectionPhase(try fields[3].requireText(), milliseconds: try fields[4].requireInteger()),
        isPaused: try fields[5].requireInteger() == 1)
    default: self = .absent
    }
  }
}

extension QueueStats {
  fileprivate init(_ reply: RedisValue) throws(RedisError) {
    let fields = try reply.requireArray(atLeast: 8)
    let counters = try Self.counters(fields[1])
    epoch = try fields[0].requireInteger()
    waiting = JobClass.allCases.reduce(into: [:]) { $0[$1] = counters["waiting:\($1.rawValue)"] ?? 0 }
    leased = counters["leased"] ?? 0
    delayed = Int(try fields[2].requireInteger())
    laneCount = Int(try fields[3].requireInteger())
    lanes = try rows(of: 2, fields[4]) { row throws(RedisError) in
      LaneDepth(lane: try LaneID(row[0]), waiting: Int(try row[1].requireInteger()))
    }
    let phases = try rows(of: 3, fields[5]) { row throws(RedisError) in
      (
        try row[0].requireInteger(),
        try ConnectionPhase(try row[1].requireText(), milliseconds: try row[2].requireInteger())
      )
    }
    self.phases = phases.reduce(into: [:]) { $0[$1.0] = $1.1 }
    let paused = try fields[6].requireArray().map { $0.text ?? "" }
    isPaused = paused.contains("*")
    pausedLanes = paused.compactMap { LaneID($0) }.sorted()
    leases = try rows(of: 6, fields[7]) { row throws(RedisError) in try LeaseSummary(row) }
    totals = Totals(counters)
  }

  private static func counters(_ value: RedisValue) throws(RedisError) -> [String: Int] {
    let pairs = try rows(of: 2, value) { row throws(RedisError) in
      (try row[0].requireText(), Int(try row[1].requireInteger()))
    }
    return pairs.reduce(into: [:]) { $0[$1.0] = $1.1 }
  }
}

extension QueueStats.LeaseSummary {
  fileprivate init(_ row: [RedisValue]) throws(RedisError) {
    lane = try LaneID(row[0])
    worker = try row[1].requireText()
    fence = Fence(epoch: try row[2].requireInteger(), sequence: try row[3].requireInteger())
    jobs = Int(try row[4].requireInteger())
    expiresIn = .milliseconds(try row[5].requireInteger())
  }
}

extension QueueStats.Totals {
  fileprivate init(_ counters: [String: Int]) {
    completed = counters["completed"] ?? 0
    discarded = counters["discarded"] ?? 0
    cancelled = counters["cancelled"] ?? 0
    retried = counters["retried"] ?? 0
    returned = counters["returned"] ?? 0
    reaped = counters["reaped"] ?? 0
    stale = counters["stale"] ?? 0
    leaseCalls = counters["leases"] ?? 0
  }
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
