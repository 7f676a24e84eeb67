import Metadata

/// Submits a checked file in one transaction, so that a failure anywhere loses nothing and leaves nothing behind.
struct BulkSubmission {
  let file: SubmissionFile
  let total: Int

  /// Each job once; `isNew` only if this file made it.
  func run(on metadata: MetadataDatabase) async throws -> [SubmittedJob] {
    try await metadata.transaction { session in
      var jobs: [Int64: SubmittedJob] = [:]
      var progress = ProgressLine(total: total, what: "requests")
      try await file.forEachBatch { batch in
        for job in try await submit(batch, session) where jobs[job.id] == nil { jobs[job.id] = job }
        progress.advance(by: batch.count)
      }
      progress.finish()
      return jobs.values.sorted { $0.id < $1.id }
    }
  }

  private func submit(
    _ batch: [(number: Int, line: SubmissionLine)], _ session: MetadataSession
  ) async throws -> [SubmittedJob] {
    var requests: [(number: Int, request: SubscriptionRequest)] = []
    var jobs: [SubmittedJob] = []
    for (number, line) in batch {
      switch line {
      case .subscription(let request): requests.append((number, request))
      case .sync(let path):
        do {
          jobs.append(try await session.submitSync(of: path, evenInactive: false))
        } catch let error as MetadataError {
          throw SubmissionFile.failure(["\(file.name):\(number): \(error.message)"], of: 1)
        }
      }
    }
    let (resolved, faults) = try await session.resolve(requests.map(\.request))
    guard faults.isEmpty else { throw failure(faults, requests.map(\.number)) }
    return jobs + (try await session.apply(resolved, jobClass: .bulk, actor: Operator.name))
  }

  private func failure(_ faults: [Int: MetadataError], _ numbers: [Int]) -> CommandFailure {
    let told = faults.sorted { $0.key < $1.key }.prefix(SubmissionFile.faultLimit).map {
      "\(file.name):\(numbers[$0.key]): \($0.value.message)"
    }
    return SubmissionFile.failure(Array(told), of: faults.count)
  }
}
