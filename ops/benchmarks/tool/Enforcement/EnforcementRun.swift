import Foundation

/// One run of `ops/bench enforcement`: its directory, its stages, and how much it does.
actor EnforcementRun {
  nonisolated let scale: EnforcementScale
  private let directory: String
  private var made = 0
  private var running: [EnforcementStage] = []
  private var policies: (stage: PolicyStage, figures: [Measurement])?

  init(scale: EnforcementScale) throws {
    self.scale = scale
    directory = "\(NSTemporaryDirectory())/sluice-bench-\(getpid())"
    // The servers' own user passes through it; what they make in it is closed.
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
  }

  /// Stops what still runs and removes every file.
  func end() async {
    for stage in running { await stage.stop() }
    // best effort: the system empties its temporary directory by itself
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// A stage of a case's own, with nothing in its target; stopped when the run ends, or by the case.
  func newStage(workers: Int = 1) async throws -> EnforcementStage {
    made += 1
    let stage = try await EnforcementStage.start(in: "\(directory)/e\(made)", workers: workers)
    running.append(stage)
    return stage
  }

  /// The policies' world after its first apply, and what that cost; kept for the cases that follow.
  func appliedPolicies() async throws -> (stage: PolicyStage, figures: [Measurement]) {
    if let policies { return policies }
    let applied = try await PolicyStage.apply(scale, on: try await newStage())
    policies = applied
    return applied
  }
}
