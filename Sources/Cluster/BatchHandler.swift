import Enforcement
import Metadata

/// What does the work of a lane: `LaneRun`, or a simulation's or a benchmark's.
package protocol BatchHandler: Sendable {
  /// Makes a lane ready for a batch, before anything is claimed.
  ///
  /// - Throws: `TargetError`, which says what to do with the lane.
  func open(lane: Int64) async throws -> OpenedLane
}

/// A lane that is ready for a batch.
package struct OpenedLane: Sendable {
  package let connection: Int64
  /// False for governance lanes: their work is in the ledger's database.
  package let hasTarget: Bool
  /// The connection is known as one that does not answer, or did not for a moment.
  package let isReportedDown: Bool
  /// Runs jobs and returns the results of what was decided. What it throws concerns all of them, and nothing was decided
  /// then: a `TargetError` for the target's trouble, the ledger's own errors for its.
  package let run: @Sendable ([ClaimedJob]) async throws -> [JobResult]
  package let close: @Sendable () async -> Void

  package init(
    connection: Int64, hasTarget: Bool = true, isReportedDown: Bool = false,
    run: @escaping @Sendable ([ClaimedJob]) async throws -> [JobResult],
    close: @escaping @Sendable () async -> Void = {}
  ) {
    self.connection = connection
    self.hasTarget = hasTarget
    self.isReportedDown = isReportedDown
    self.run = run
    self.close = close
  }
}

extension LaneRun: BatchHandler {
  package func open(lane: Int64) async throws -> OpenedLane {
    let open: OpenLane = try await open(lane: lane)
    return OpenedLane(
      connection: open.connection.id, hasTarget: open.lane.kind != .governance,
      isReportedDown: [.stopped, .unhealthy].contains(open.connection.state)
        || open.connection.state == .active && open.connection.stateReason != nil,
      run: { try await run($0, in: open) }, close: { await open.close() })
  }
}
