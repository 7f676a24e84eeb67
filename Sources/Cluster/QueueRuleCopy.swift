import JobQueue
import Metadata

extension QueueRules {
  /// What operators have said, as the queue takes it.
  package init(_ stored: StoredQueueRules) {
    self.init(
      version: stored.version, isPaused: stored.pause != nil, mostLanes: stored.mostLanes,
      connections: stored.connections.mapValues { .init(weight: $0.weight, mostLanes: $0.mostLanes) })
    for (lane, rule) in stored.lanes {
      lanes[LaneID(connection: rule.parkedBy, lane: lane)] = .init(weight: rule.weight, isPaused: rule.pause != nil)
    }
  }
}
