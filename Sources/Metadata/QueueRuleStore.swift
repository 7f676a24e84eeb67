import Postgres

/// What operators have said about the queue. This is the truth; Redis works by a copy of it.
package struct StoredQueueRules: Sendable, Equatable {
  package struct Pause: Sendable, Equatable {
    /// RFC 3339, UTC.
    package let since: String
    package let by: String
  }

  package struct ConnectionRule: Sendable, Equatable {
    package let weight: Int
    /// Lanes that are worked side by side; nil for the number that holds for all.
    package let mostLanes: Int?
  }

  package struct LaneRule: Sendable, Equatable {
    /// The connection that parks the lane; 0 for governance lanes.
    package let parkedBy: Int64
    package let weight: Int
    package let pause: Pause?
  }

  /// What a weight may be: a share of the turns, compared with others of its kind.
  package static let weights = 1...1000
  /// What a number of lanes side by side may be.
  package static let laneCounts = 1...10_000

  /// Rises with every change.
  package let version: Int64
  /// That of the whole queue.
  package let pause: Pause?
  /// Lanes of a connection that are worked side by side, where the connection has no number of its own.
  package let mostLanes: Int
  package fileprivate(set) var connections: [Int64: ConnectionRule] = [:]
  package fileprivate(set) var lanes: [Int64: LaneRule] = [:]
}

extension MetadataSession {
  /// All rules, in one snapshot.
  package func queueRules() async throws -> StoredQueueRules {
    let rows = try await connection.query(statement(PackageResources.list_queue_rules_sql)).rows
    guard let whole = try rows.first(where: { try $0.text("subject") == "queue" }) else {
      throw MetadataError(.corrupt, "the rules of the queue are gone: the row of queue_rules was deleted by hand")
    }
    var rules = StoredQueueRules(
      version: try whole.int("number"), pause: try Self.decodePause(whole), mostLanes: Int(try whole.int("most_lanes")))
    for row in rows {
      let (number, subject) = (try row.int("number"), try row.text("subject"))
      if subject == "connection" {
        rules.connections[number] = .init(
          weight: Int(try row.int("weight")), mostLanes: try row.optionalInt("most_lanes").map(Int.init))
      } else if subject == "lane" {
        rules.lanes[number] = .init(
          parkedBy: try row.int("parked_by"), weight: Int(try row.int("weight")), pause: try Self.decodePause(row))
      }
    }
    return rules
  }

  private static func decodePause(_ row: PostgresRow) throws -> StoredQueueRules.Pause? {
    guard let since = try row.optionalText("paused_at"), let name = try row.optionalText("paused_by") else {
      return nil
    }
    return .init(since: since, by: name)
  }

  /// The version of the rules: cheap enough for every look at the outbox.
  package func queueRulesVersion() async throws -> Int64 {
    try await connection.query("select version from queue_rules").rows[0].int("version")
  }
}

/// Changes of the rules. Each returns false, and leaves the version, if that is how it was already.
extension MetadataSession {
  package func pauseQueue(by name: String) async throws -> Bool {
    try await change("update queue_rules set paused_at = now(), paused_by = $1 where paused_at is null", [.text(name)])
  }

  package func resumeQueue() async throws -> Bool {
    try await change(
      "update queue_rules set paused_at = null, paused_by = null where paused_at is not null", [])
  }

  package func pause(lane id: Int64, by name: String) async throws -> Bool {
    try await change(
      """
      insert into lane_rule as r (lane_id, paused_at, paused_by) values ($1, now(), $2)
      on conflict (lane_id) do update set paused_at = excluded.paused_at, paused_by = excluded.paused_by
      where r.paused_at is null
      """, [.int8(id), .text(name)])
  }

  package func resume(lane id: Int64) async throws -> Bool {
    try await change(
      "update lane_rule set paused_at = null, paused_by = null where lane_id = $1 and paused_at is not null",
      [.int8(id)])
  }

  /// - Parameter weight: one of `StoredQueueRules.weights`.
  package func setWeight(_ weight: Int, ofLane id: Int64) async throws -> Bool {
    try await change(
      """
      insert into lane_rule as r (lane_id, weight)
      select $1, $2 where $2 <> 1 or exists (select from lane_rule where lane_id = $1)
      on conflict (lane_id) do update set weight = excluded.weight where r.weight <> excluded.weight
      """, [.int8(id), .int(weight)])
  }

  /// - Parameter weight: one of `StoredQueueRules.weights`.
  package func setWeight(_ weight: Int, ofConnection id: Int64) async throws -> Bool {
    try await change(
      """
      insert into connection_rule as r (connection_id, weight)
      select $1, $2 where $2 <> 1 or exists (select from connection_rule where connection_id = $1)
      on conflict (connection_id) do update set weight = excluded.weight where r.weight <> excluded.weight
      """, [.int8(id), .int(weight)])
  }

  /// - Parameter count: one of `StoredQueueRules.laneCounts`; nil for the number that holds for all.
  package func setMostLanes(_ count: Int?, ofConnection id: Int64) async throws -> Bool {
    try await change(
      """
      insert into connection_rule as r (connection_id, most_lanes)
      select $1, $2::int where $2 is not null or exists (select from connection_rule where connection_id = $1)
      on conflict (connection_id) do update set most_lanes = excluded.most_lanes
      where r.most_lanes is distinct from excluded.most_lanes
      """, [.int8(id), .optional(count.map(Int64.init))])
  }

  /// - Parameter count: one of `StoredQueueRules.laneCounts`, for every connection without a number of its own.
  package func setMostLanes(_ count: Int) async throws -> Bool {
    try await change("update queue_rules set most_lanes = $1 where most_lanes <> $1", [.int(count)])
  }

  /// Runs one change under the lock of the version, and raises it if anything changed.
  private func change(_ sql: String, _ parameters: [PostgresValue]) async throws -> Bool {
    _ = try await connection.query("select from queue_rules for update")
    guard try await connection.query(sql, parameters).affected > 0 else { return false }
    _ = try await connection.query("update queue_rules set version = version + 1")
    // Schedulers listen there: they bring the rules to Redis.
    _ = try await connection.query("select pg_notify($1, '')", [.text(Self.outboxChannel)])
    return true
  }
}
