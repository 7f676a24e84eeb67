import Foundation

/// What a campaign found, and the figures that its report tells.
struct CampaignOutcome: Sendable {
  var readings = Readings()
  var violations: [Violation] = []
  var faults: [FaultLog.Entry] = []
  var skipped: [String] = []
  /// Subscribes, revokes and changes of policy that were accepted.
  var requests = 0
  /// How often the target was asked for access that had been revoked.
  var looks = 0
  var starts = 0
  var drainSeconds = 0.0
  /// Commands that failed while servers were away and were given again: how many ended how.
  var failures: [String: Int] = [:]

  /// A table for people.
  var report: String {
    let jobs = readings.jobs
    let waits = jobs.compactMap { job in job.finishedAt.map { $0 - job.createdAt } }
    let lines: [(String, String)] =
      faultLines + [
        ("requests accepted", "\(requests)"), ("jobs settled", "\(jobs.count(where: \.isFinal)) of \(jobs.count)"),
        ("accepted attempts", "\(readings.attempts.count)"),
        ("stalls of jobs", "\(jobs.reduce(0) { $0 + $1.stalls })"),
        ("stale reports to Redis since it was filled last", "\(readings.queue.stale)"),
        ("process starts", "\(starts)"), ("looks at revoked access", "\(looks)"),
        ("longest from submit to settled", Self.seconds(waits.max())),
        ("drained after the last fault", Self.seconds(drainSeconds)),
      ] + failures.sorted { $0.key < $1.key }.map { ("given again: \($0.key)", "\($0.value)") }
    let width = lines.map(\.0.count).max() ?? 0
    let table = lines.map { $0.0.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + $0.1 }
    return (table + skipped.map { "not injected: \($0)" }).joined(separator: "\n")
  }

  /// How often each fault came, and the longest time from its end to the next settlement anywhere.
  private var faultLines: [(String, String)] {
    let settled = readings.attempts.map(\.finishedAt).sorted()
    return FaultKind.allCases.compactMap { kind in
      let ends = faults.filter { $0.kind == kind }.map(\.ended.timeIntervalSince1970)
      guard !ends.isEmpty else { return nil }
      let recoveries = ends.compactMap { end in settled.first { $0 > end }.map { $0 - end } }
      return (kind.rawValue, "\(ends.count), settling again after \(Self.seconds(recoveries.max())) at most")
    }
  }

  private static func seconds(_ value: Double?) -> String { value.map { String(format: "%.1f s", $0) } ?? "-" }
}
