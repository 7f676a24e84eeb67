import Postgres

/// What must never happen, done to the real servers at the end of a campaign that found nothing: if that is not found
/// either, finding nothing means nothing.
enum Sabotage: String, CaseIterable, Sendable {
  case grant = "a revoked access was granted by hand"
  case settlement = "a job that had ended ran and ended again"
  case fence = "a job was claimed under an older fence"

  /// The sentence that it breaks.
  private var rule: CampaignRule {
    switch self {
    case .grant: .nothingStale
    case .settlement: .settledOnce
    case .fence: .fencesRise
    }
  }

  /// Does them all, reads again, and tells which were not seen.
  static func unnoticed(on cluster: CampaignCluster, _ readings: Readings) async throws -> [Violation] {
    var seen: Set<CampaignRule> = []
    for sabotage in allCases {
      try await sabotage.carryOut(on: cluster, readings)
      seen.formUnion(CampaignChecks.violations(in: try await readings.again(from: cluster)).map(\.rule))
    }
    return allCases.filter { !seen.contains($0.rule) }.map { Violation(.sabotageIsSeen, $0.rawValue) }
  }

  private func carryOut(on cluster: CampaignCluster, _ readings: Readings) async throws {
    switch self {
    case .grant:
      // In the owner's name: no worker takes away what Sluice did not grant.
      guard let key = Self.revoked(in: readings) else { throw CampaignError("no user is left without access") }
      try await cluster.withAdmin(cluster.target(of: key.table.database), key.table.database) { session in
        try await session.execute("grant select on \(Population.schema).\(key.table.table) to \(key.user)")
      }
    case .settlement: try await repeatLastJob(cluster, readings, fenceStep: 0)
    case .fence: try await repeatLastJob(cluster, readings, fenceStep: -1)
    }
  }

  /// Somebody who can enter the database and reads other tables there.
  private static func revoked(in readings: Readings) -> AccessKey? {
    readings.asked.first { key, access in
      access == .none
        && readings.observed.keys.contains { $0.user == key.user && $0.table.database == key.table.database }
    }?.key
  }

  /// In one transaction, so that no process ever finds the job open.
  private func repeatLastJob(_ cluster: CampaignCluster, _ readings: Readings, fenceStep: Int) async throws {
    guard let job = readings.transitions.last(where: \.isClaim)?.job else { throw CampaignError("no job ever ran") }
    try await cluster.withAdmin(cluster.metadata, "sluice") { session in
      try await session.execute(
        """
        create temporary table before as select * from job where id = \(job);
        update job set state = 'running', finished_at = null, fence_sequence = fence_sequence + (\(fenceStep))
        where id = \(job);
        update job set state = b.state, finished_at = b.finished_at, fence_sequence = b.fence_sequence
        from before b where job.id = b.id
        """)
    }
  }
}
