import Governance
import Metadata
import Platform

/// Submits a checked file: in one transaction, so that a failure anywhere loses nothing and leaves nothing behind, as
/// long as the queue has room. Once it is full, what was submitted is committed, as soon as the rest has been checked
/// too, and each further part waits for room.
struct BulkSubmission {
  /// Between two looks whether the queue has room.
  private static let roomPoll: Duration = .seconds(1)

  let file: SubmissionFile
  let metadata: MetadataDatabase
  /// Requests in the file, for the progress.
  let total: Int
  /// How long to wait for room in the queue; nil for as long as it takes.
  let deadline: Deadline?

  /// What a batch names, as the metadata database knows it.
  private struct Resolved {
    var subscriptions: [ResolvedSubscription] = []
    var syncs: [MetadataSession.SyncPlace] = []
  }

  /// How far the file was submitted.
  private struct Part {
    var jobs: [Int64: SubmittedJob] = [:]
    /// Places that were synced already.
    var known: Set<SecurablePath> = []
    var count = 0
    /// Lanes of jobs for which the queue has no room.
    var fullLanes: Set<Int64> = []
    /// Where the next part begins; nil at the end of the file.
    var rest: LineReader.Position?
  }

  /// Each job once; `isNew` only if this file made it.
  ///
  /// - Throws: `timedOut` if the queue stayed full; what was submitted until then stays.
  func run() async throws -> [SubmittedJob] {
    var part = try await metadata.transaction { try await submit(after: Part(), from: .init(), isFirst: true, $0) }
    while let place = part.rest {
      try await awaitRoom(part)
      let before = part
      part = try await metadata.transaction { try await submit(after: before, from: place, isFirst: false, $0) }
    }
    return part.jobs.values.sorted { $0.id < $1.id }
  }

  /// Submits the file from a place on, as far as the queue has room.
  private func submit(
    after before: Part, from start: LineReader.Position, isFirst: Bool, _ session: MetadataSession
  ) async throws -> Part {
    var part = before
    (part.rest, part.fullLanes) = (nil, [])
    var checked = before.known
    var faults = LineFaults()
    var progress = ProgressLine(total: total, what: "requests")
    progress.advance(by: part.count)
    try await file.forEachBatch(from: start) { batch, place in
      progress.advance(by: batch.count)
      // From the first fault on, and beyond a full queue, lines are only checked: all faults are told in one go.
      guard faults.isEmpty && part.rest == nil else {
        _ = try await resolve(batch, &checked, &faults, session)
        return true
      }
      let resolved = try await resolve(batch, &part.known, &faults, session)
      guard faults.isEmpty else { return true }
      let jobs = try await apply(resolved, session)
      for job in jobs where part.jobs[job.id] == nil { part.jobs[job.id] = job }
      part.count += batch.count
      guard jobs.contains(where: \.isQueueFull), part.count < total else { return true }
      (part.rest, part.fullLanes) = (place, Set(jobs.filter(\.isQueueFull).map(\.lane)))
      checked = part.known
      return isFirst
    }
    progress.finish()
    if !faults.isEmpty { throw faults.failure(in: file.name) }
    return part
  }

  private func awaitRoom(_ part: Part) async throws {
    let count = part.count
    Output.standardError("the queue is full: \(count) of \(total) requests are submitted, the rest waits for room\n")
    while try await !metadata.read({ try await $0.hasRoom(for: part.fullLanes) }) {
      if let deadline, deadline.hasPassed {
        throw CommandFailure(
          .timedOut,
          """
          time is up: the queue is full, and \(count) of \(total) requests are submitted; see sluice queue stats, and \
          submit the same file again: what is submitted already does no harm
          """)
      }
      try await Task.sleep(for: Self.roomPoll)
    }
  }

  /// Adds what is unknown in the lines that can be read, so that it is told together with those that cannot.
  static func addUnknown(
    in file: SubmissionFile, to faults: inout LineFaults, on metadata: MetadataDatabase
  ) async throws {
    let submission = BulkSubmission(file: file, metadata: metadata, total: 0, deadline: nil)
    faults = try await metadata.read { [faults] session in
      var faults = faults
      var known: Set<SecurablePath> = []
      try await file.forEachBatch(skippingFaulty: true) { batch, _ in
        _ = try await submission.resolve(batch, &known, &faults, session)
        return true
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

  private func apply(_ resolved: Resolved, _ session: MetadataSession) async throws -> [SubmittedJob] {
    try await session.submitSyncs(of: resolved.syncs)
      + session.apply(resolved.subscriptions, jobClass: .bulk, actor: Operator.name)
  }
}
