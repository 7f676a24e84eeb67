/// Proof of who leased a lane last: an epoch that PostgreSQL gives out and a sequence that Redis counts.
///
/// Later leases have greater fences, also when Redis has lost its memory, because the epoch is raised then. Results
/// are written to the ledger only under the fence that was leased.
package struct Fence: Sendable, Hashable, Comparable, CustomStringConvertible {
  package let epoch: Int64
  package let sequence: Int64

  package init(epoch: Int64, sequence: Int64) {
    self.epoch = epoch
    self.sequence = sequence
  }

  package static func < (left: Fence, right: Fence) -> Bool {
    (left.epoch, left.sequence) < (right.epoch, right.sequence)
  }

  package var description: String { "\(epoch).\(sequence)" }
}

/// The class of a job decides what goes first when there is more work than workers.
package enum JobClass: Int, Sendable, CaseIterable, Comparable {
  /// Takes access away: before anything else.
  case revoke = 0
  /// Somebody waits for it.
  case interactive = 1
  /// Policies over many tables, and syncs.
  case bulk = 2

  package static func < (left: JobClass, right: JobClass) -> Bool { left.rawValue < right.rawValue }

  package var name: String {
    switch self {
    case .revoke: "revoke"
    case .interactive: "interactive"
    case .bulk: "bulk"
    }
  }
}
