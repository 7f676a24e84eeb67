import Metadata

/// Why a job is not running: from the ledger, and from the queue where that knows more.
struct JobWhereabouts {
  let settings: Settings

  func reason(for job: Job) async throws -> String? { nil }
}
