import Cluster
import JobQueue
import Metadata

/// Brings the rules of the queue to Redis at once, rather than at a scheduler's next look.
struct RuleDelivery {
  let settings: Settings
  let metadata: MetadataDatabase

  /// The rules are kept in the metadata database already: that Redis cannot be told now is told, and is no failure.
  ///
  /// - Returns: Whether Redis has them.
  func deliver() async throws -> Bool {
    let rules = QueueRules(try await metadata.read { try await $0.queueRules() })
    guard settings[.redisURL] != nil else { return notTold("no --redis-url is given") }
    do {
      _ = try await settings.withQueue { try await $0.apply(rules) }
      return true
    } catch {
      return notTold(Ending.message(of: error))
    }
  }

  private func notTold(_ reason: String) -> Bool {
    Output.standardError("Redis is not told yet (\(reason)); a scheduler tells it as soon as it can\n")
    return false
  }
}
