import Foundation
import Glibc
import LocalServers
import Platform
import Testing

/// The crash campaign in short; `ops/campaign` runs it for as long as one likes.
@Suite struct CampaignTests {
  /// Starting everything, the faults, and the drain with its own limit, on a machine that is busy with other tests.
  private static let limit: Duration = .seconds(280)

  /// All but one: of the two failovers, each of which takes the sentinels some seconds, the worse one.
  private static let faults = [
    "killed", "paused", "drained", "flushed", "tail lost", "restarted", "aborted", "ended", "stopped", "cut",
  ]

  @Test func crashesUnderLoadBreakNoPromise() async throws {
    let campaign = URL(fileURLWithPath: DevCluster.executable).deletingLastPathComponent()
      .appendingPathComponent("campaign").path
    let words = [campaign, "--seconds", "20", "--seed", "1"] + Self.faults.flatMap { ["--only", $0] }
    let launch =
      try await Self.mayUnshare()
      ? Launch("unshare", ["--net", "--"] + words) : Launch(words[0], Array(words.dropFirst()))
    let run = try await ToolRun.run(launch, deadline: .after(Self.limit))
    #expect(run.status == .exited(0), "\(run.output)")
  }

  /// Only root may have a network of its own; without one the faults of the network are told as not injected.
  private static func mayUnshare() async throws -> Bool {
    guard geteuid() == 0 else { return false }
    return try await ToolRun.run(Launch("unshare", ["--net", "true"]), deadline: .after(.seconds(10))).status.isSuccess
  }
}
