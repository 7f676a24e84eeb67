/// What operators say about the queue: what is paused, whose turn comes how often, how much of it at a time. The truth
/// is in the metadata database; the queue is given all of it again after it lost its memory.
package struct QueueRules: Sendable, Equatable {
  package struct ForConnection: Sendable, Equatable {
    /// Its share of the workers beside other connections that have work; 1 is the usual one.
    package var weight: Int
    /// How many of its lanes may be in work at the same time; nil for `QueueRules.mostLanes`. Revokes do not wait for
    /// the others: they may have as many lanes again.
    package var mostLanes: Int?

    package init(weight: Int = 1, mostLanes: Int? = nil) {
      (self.weight, self.mostLanes) = (weight, mostLanes)
    }
  }

  package struct ForLane: Sendable, Equatable {
    /// Its share beside other lanes of its connection; 1 is the usual one.
    package var weight: Int
    package var isPaused: Bool

    package init(weight: Int = 1, isPaused: Bool = false) {
      (self.weight, self.isPaused) = (weight, isPaused)
    }
  }

  /// Connections and lanes with rules of their own; more would make a script that delays everybody else.
  package static let mostEntries = 10_000
  package static let weights = 1...1000
  package static let caps = 1...10_000

  /// Rises with every change; the queue ignores what is older than what it has.
  package var version: Int64
  package var isPaused: Bool
  /// Lanes of a connection in work at the same time, for those that have no rule of their own.
  package var mostLanes: Int
  package var connections: [Int64: ForConnection]
  package var lanes: [LaneID: ForLane]

  package init(
    version: Int64, isPaused: Bool = false, mostLanes: Int = 16, connections: [Int64: ForConnection] = [:],
    lanes: [LaneID: ForLane] = [:]
  ) {
    self.version = version
    self.isPaused = isPaused
    self.mostLanes = mostLanes
    self.connections = connections
    self.lanes = lanes
  }

  /// Version, then fields and values as `rules.lua` wants them.
  var arguments: [String] {
    var arguments = [String(version), "cap:*", String(mostLanes)]
    if isPaused { arguments += ["pause:*", "1"] }
    for (connection, rule) in connections {
      let name = LaneID.connectionText(connection)
      if rule.weight != 1 { arguments += ["weight:" + name, String(rule.weight)] }
      if let cap = rule.mostLanes { arguments += ["cap:" + name, String(cap)] }
    }
    for (lane, rule) in lanes {
      if rule.weight != 1 { arguments += ["weight:\(lane)", String(rule.weight)] }
      if rule.isPaused { arguments += ["pause:\(lane)", "1"] }
    }
    return arguments
  }

  /// From the fields of the shard; nil for something that is not ours.
  init?(fields: [String: String]) {
    self.init(version: Int64(fields["version"] ?? "") ?? 0, isPaused: fields["pause:*"] != nil)
    mostLanes = Int(fields["cap:*"] ?? "") ?? mostLanes
    for (field, value) in fields {
      let parts = field.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[1] != "*" else { continue }
      guard let number = Int(value) else { return nil }
      if let lane = LaneID(parts[1]) {
        if parts[0] == "pause" { lanes[lane, default: .init()].isPaused = true }
        if parts[0] == "weight" { lanes[lane, default: .init()].weight = number }
      } else {
        guard let connection = Int64(parts[1]) else { return nil }
        if parts[0] == "cap" { connections[connection, default: .init()].mostLanes = number }
        if parts[0] == "weight" { connections[connection, default: .init()].weight = number }
      }
    }
  }
}
