import Enforcement
import Logging
import Metadata
import Platform

/// The way to targets as short commands use it.
extension Settings {
  func withTargets<Value: Sendable>(
    _ metadata: MetadataDatabase, _ body: (Targets) async throws -> Value
  ) async throws -> Value {
    let targets = Targets(
      metadata: metadata, key: try sealingKey(), caFile: self[.caFile], limits: targetLimits,
      logger: Logger(label: "sluice.targets"))
    return try await body(targets)
  }

  /// What a session in a target may do and for how long.
  var targetLimits: TargetLimits {
    var limits = TargetLimits()
    limits.longestRest = duration(.targetSessionRest)
    limits.lockTimeout = duration(.targetLockTimeout)
    limits.statementTimeout = duration(.targetStatementTimeout)
    // A statement that may take long is not to be ended by its transaction.
    limits.longestTransaction = max(limits.longestTransaction, limits.statementTimeout * 2)
    limits.transactionTime = duration(.targetTransactionTime)
    return limits
  }

  /// How much of a target a sync takes on.
  var syncLimits: SyncLimits {
    var limits = SyncLimits()
    limits.mostRelations = integer(.syncRelationLimit)
    return limits
  }
}
