import Governance
import Metadata

/// Submits a checked file in one transaction, so that a failure anywhere loses nothing and leaves nothing behind.
struct BulkSubmission {
  let file: SubmissionFile

  /// What a batch names, as the metadata database knows it.
  private struct Resolved {
    var subscriptions: [ResolvedSubscription] = []
    var syncs: [MetadataSession.SyncPlace] = []
  }

  /// Each job once; `isNew` only if this file made it.
  ///
  /// - Parameter total: requests in the file, for the progress.
  func run(total: Int, on metadata: MetadataDatabase) async throws -> [SubmittedJob] {
    try await metadata.transaction { session in
      var jobs: [Int64: SubmittedJob] = [:]
      var known: Set<SecurablePath> = []
      var faults = LineFaults()
      var progress = ProgressLine(total: total, what: "requests")
      try await file.forEachBatch { batch in
        let resolved = try await resolve(batch, &known, &faults, session)
        progress.advance(by: batch.count)
        // From the first fault on, lines are only checked: all faults are told in one go, and nothing is kept.
        guard faults.isEmpty else { return }
        for job in try await submit(resolved, session) where jobs[job.id] == nil { jobs[job.id] = job }
      }
      progress.finish()
      if !faults.isEmpty { throw faults.failure(in: file.name) }
      return jobs.values.sorted { $0.id < $1.id }
    }
  }

  /// Adds what is unknown in the lines that can be read, so that it is told together with those that cannot.
  func addUnknown(to faults: inout LineFaults, on metadata: MetadataDatabase) async throws {
    faults = try await metadata.read { [faults] session in
      var faults = faults
      var known: Set<SecurablePath> = []
      try await file.forEachBatch(skippingFaulty: true) { batch in
        _ = try await resolve(batch, &known, &faults, session)
      }
      return faults
    }
  }

  private func resolve(
    _ batch: [(number: Int, line: SubmissionLine)], _ known: inout Set<SecurablePath>, _ faults: inout LineFaults,
    _ session: MetadataSession
  ) async throws -> Resolved {
    var requests: [(number: Int, request: SubscriptionRequest)] = []
    var syncs: [(number: Int, path: SecurablePath)] = []
    for (number, line) in batch {
      switch line {
      case .subscription(let request): requests.append((number, request))
      // The same place is synced once, however often it stands in the file.
      case .sync(let path): if known.insert(path).inserted { syncs.append((number, path)) }
      }
    }
    let (subscriptions, unknown) = try await session.resolve(requests.map(\.request))
    for (index, fault) in unknown { faults.add(requests[index].number, fault.message) }
    let (places, unseen) = try await session.resolveSyncs(of: syncs.map(\.path))
    for (index, fault) in unseen { faults.add(syncs[index].number, fault.message) }
    return Resolved(subscriptions: subscriptions, syncs: places)
  }

  private func submit(_ resolved: Resolved, _ session: MetadataSession) async throws -> [SubmittedJob] {
    try await session.submitSyncs(of: resolved.syncs)
      + session.apply(resolved.subscriptions, jobClass: .bulk, actor: Operator.name)
  }
}
