import JobQueue
import Platform

/// Whether somebody works.
enum WorkerExamination {
  static func findings(_ workers: [WorkerStatus], _ leases: [QueueStats.LeaseSummary]) -> [Finding] {
    let roster = WorkerRoster(workers: workers, leases: leases)
    let alive = roster.entries.filter { !$0.isSilent }
    guard !alive.isEmpty else {
      return [
        .error("workers", "none is alive: no job runs", remedy: "start some: sluice worker; see: sluice worker list")
      ]
    }
    var findings: [Finding] = roster.entries.filter(\.isSilent).map { entry in
      let since = entry.status.map { " for \(DurationText.rounded($0.silence))" } ?? ""
      return .warning(
        "workers", "\(entry.name) is silent\(since) and holds \(entry.leases.count) lanes",
        remedy: "see whether it runs and reaches Redis; its lanes are taken over when their leases expire")
    }
    let taken = Set(alive.flatMap { $0.status?.beat.classes ?? [] })
    findings += JobClass.allCases.filter { !taken.contains($0.name) }.map {
      .error(
        "workers", "no worker takes jobs of class \($0.name)",
        remedy: "start one that does: sluice worker --classes \($0.name)")
    }
    return findings.isEmpty ? [.ok("workers", "\(alive.count) alive, every class is taken")] : findings
  }
}
