import JobQueue
import Platform

/// Whether somebody works.
enum WorkerExamination {
  /// After Redis was emptied, workers are heard of with their next beat: nobody is missed before that.
  private static let lookCount = 6
  private static let lookInterval: Duration = .seconds(1)

  static func findings(_ queue: LaneQueue) async throws -> [Finding] {
    do {
      for _ in 1..<lookCount {
        let roster = try await WorkerRoster(queue)
        if roster.entries.contains(where: { !$0.isSilent }) { return findings(roster) }
        try await Task.sleep(for: lookInterval)
      }
      return findings(try await WorkerRoster(queue))
    } catch let error as JobQueueError where error.code == .epochLost {
      return [.unknown("workers", because: "queue epoch")]
    }
  }

  static func findings(_ roster: WorkerRoster) -> [Finding] {
    let alive = roster.entries.filter { !$0.isSilent }
    guard !alive.isEmpty else {
      return [
        .error("workers", "none is alive: no job runs", remedy: "start some: sluice worker; see: sluice worker list")
      ]
    }
    let silent = roster.entries.filter(\.isSilent)
    var findings: [Finding] = silent.filter { !$0.leases.isEmpty }.map { entry in
      .warning(
        "workers",
        "\(entry.name) is silent for \(DurationText.rounded(entry.silence)) and holds "
          + Counted.text(entry.leases.count, "lane"),
        remedy: "see whether it runs and reaches Redis; its lanes are taken over when their leases expire")
    }
    // One that is known by its leases alone has not said yet what it takes.
    let taken = Set(alive.flatMap { $0.status?.beat.classes ?? JobClass.allCases.map(\.name) })
    findings += JobClass.allCases.filter { !taken.contains($0.name) }.map {
      .error(
        "workers", "no worker takes jobs of class \($0.name)",
        remedy: "start one that does: sluice worker --classes \($0.name)")
    }
    // Whoever was killed and holds nothing is missed by nobody.
    let gone = silent.count { $0.leases.isEmpty }
    let others = gone == 0 ? "" : "; \(gone) that ended without a word: sluice worker list"
    return findings.isEmpty ? [.ok("workers", "\(alive.count) alive, every class is taken\(others)")] : findings
  }
}
