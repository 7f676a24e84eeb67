import Platform
import Redis

/// A rule of the shard that does not hold.
package struct QueueFault: Sendable, Hashable {
  /// Which: `lane count`, `lane place`, `connection turn`, `sum`, `lease`, `fence`, `job twice`, `lanes in work`,
  /// `phase` or `ready lane`.
  package let rule: String
  /// The lane or connection, or what the sum counts.
  package let subject: String
  package let message: String
}

/// The sums of the shard, and what should have happened by now.
package struct QueueBalance: Sendable {
  /// How long the first lease that expired, the first delayed job that is due, and the first parked connection or lane
  /// that may be tried have been waiting for somebody to lease; zero where nothing does.
  package let overdueLease, overdueDelayed, overdueParked: Duration
  package let faults: [QueueFault]
}

/// A lane as it stands.
package struct LaneState: Sendable, Equatable {
  package let waiting, leased: Int
  package let worker: String?
  package let leasedFor: Duration?
  /// Of the lane itself; its connection may be parked too.
  package let parkedFor: Duration?
}

/// Looking at a live queue. Nothing here changes anything, and each call is short.
extension LaneQueue {
  /// Checks the rules on a page of lanes, each at one instant.
  ///
  /// - Returns: What does not hold, and the last lane of the page; nil if there are no more.
  package func inspect(
    after: LaneID? = nil, limit: Int = longestListing
  ) async throws(JobQueueError) -> (faults: [QueueFault], last: LaneID?) {
    let reply = try await run(.inspect, [after?.description ?? "", String(min(limit, Self.longestListing))])
    return try decoding { () throws(RedisError) in
      let cells = try reply.requireArray(atLeast: 1)
      return (try Self.faults(cells.dropFirst()), LaneID(try cells[0].requireText()))
    }
  }

  /// Checks that the sums agree with what they count, all at one instant.
  ///
  /// - Parameter start: Where among the ready lanes the sample of them begins, from 0 to 1.
  package func balance(sampleFrom start: Double = 0) async throws(JobQueueError) -> QueueBalance {
    let reply = try await run(.balance, [String(Self.longestListing), String(start)])
    return try decoding { () throws(RedisError) in
      let cells = try reply.requireArray(atLeast: 3)
      return QueueBalance(
        overdueLease: .milliseconds(try cells[0].requireInteger()),
        overdueDelayed: .milliseconds(try cells[1].requireInteger()),
        overdueParked: .milliseconds(try cells[2].requireInteger()), faults: try Self.faults(cells.dropFirst(3)))
    }
  }

  private static func faults(_ cells: ArraySlice<RedisValue>) throws(RedisError) -> [QueueFault] {
    var faults: [QueueFault] = []
    for start in stride(from: cells.startIndex, to: cells.endIndex - 2, by: 3) {
      faults.append(
        QueueFault(
          rule: try cells[start].requireText(), subject: try cells[start + 1].requireText(),
          message: try cells[start + 2].requireText()))
    }
    return faults
  }

  /// How these lanes stand, in their order.
  package func states(of lanes: [LaneID]) async throws(JobQueueError) -> [LaneState] {
    try await rows(lanes.map(\.description)) { row throws(RedisError) in
      let (worker, since, parked) = (
        try row[2].requireText(), try row[3].requireInteger(), try row[4].requireInteger()
      )
      return LaneState(
        waiting: Int(try row[0].requireInteger()), leased: Int(try row[1].requireInteger()),
        worker: worker.isEmpty ? nil : worker, leasedFor: since < 0 ? nil : .milliseconds(since),
        parkedFor: parked < 0 ? nil : .milliseconds(parked))
    }
  }

  /// How these connections stand, in their order.
  package func states(ofConnections ids: [Int64]) async throws(JobQueueError) -> [QueueStats.ConnectionDepth] {
    try await rows(ids.map(LaneID.connectionText)) { row throws(RedisError) in
      QueueStats.ConnectionDepth(
        waiting: Int(try row[0].requireInteger()), lanesInWork: Int(try row[1].requireInteger()),
        phase: try ConnectionPhase(try row[2].requireText(), milliseconds: try row[4].requireInteger()))
    }
  }

  private func rows<Row>(
    _ subjects: [String], _ make: ([RedisValue]) throws(RedisError) -> Row
  ) async throws(JobQueueError) -> [Row] {
    var found: [Row] = []
    for start in stride(from: 0, to: subjects.count, by: Self.longestListing) {
      let page = Array(subjects[start..<min(start + Self.longestListing, subjects.count)])
      let reply = try await run(.depths, page)
      found += try decoding { () throws(RedisError) in
        let cells = try reply.requireArray(atLeast: page.count * 5)
        var rows: [Row] = []
        for at in page.indices { rows.append(try make(Array(cells[(at * 5)..<(at * 5 + 5)]))) }
        return rows
      }
    }
    return found
  }
}
