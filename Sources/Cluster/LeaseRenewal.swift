import JobQueue
import Logging
import Metrics
import Platform
import Synchronization

/// Extends the leases that a worker holds, on a thread of its own, so that no busy handler can delay it.
package final class LeaseRenewal: Sendable {
  private struct Held {
    var lease: Lease
    /// Until when the lease may be trusted on this machine's clock.
    var trustedUntil: Deadline
    let onLoss: @Sendable () -> Void
  }

  /// What `run` must be started on, as the task's preferred executor.
  package var executor: (any TaskExecutor)? { surroundings.executor }
  let surroundings: any Surroundings
  private let queue: any WorkQueue
  private let interval: Duration
  private let logger: Logger
  private let held = Mutex<[Fence: Held]>([:])

  package init(queue: any WorkQueue, surroundings: any Surroundings = MachineSurroundings(), logger: Logger) {
    self.queue = queue
    self.surroundings = surroundings.undelayed("lease-renewal")
    self.logger = logger
    // Three tries before a lease ends.
    interval = queue.leaseTTL / 3
  }

  /// Keeps a lease alive until `forget`. `onLoss` is called once if it was lost, or can no longer be trusted.
  package func keep(_ lease: Lease, onLoss: @escaping @Sendable () -> Void) {
    held.withLock { $0[lease.fence] = Held(lease: lease, trustedUntil: lease.trustedUntil, onLoss: onLoss) }
  }

  package func forget(_ lease: Lease) { held.withLock { _ = $0.removeValue(forKey: lease.fence) } }

  /// Runs until it is cancelled.
  ///
  /// - Parameter onRound: called in each round: a sign of life that does not depend on how long batches take.
  package func run(onRound: @Sendable () -> Void = {}) async {
    while !Task.isCancelled {
      do { try await surroundings.sleep(for: interval) } catch { return }
      onRound()
      // Side by side: none waits for the answer to another, and all go out in one write.
      await withDiscardingTaskGroup { group in
        for lease in held.withLock({ $0.values.map(\.lease) }).sorted(by: { $0.fence < $1.fence }) {
          group.addTask { await self.renew(lease) }
        }
      }
    }
  }

  private func renew(_ lease: Lease) async {
    let asked = surroundings.now
    do {
      guard try await queue.extend(lease) else { return lose(lease, "another worker may have the lane") }
      let trusted = Deadline(asked.advanced(by: lease.ttl))
      held.withLock { $0[lease.fence]?.trustedUntil = trusted }
    } catch {
      let isTrusted = held.withLock { $0[lease.fence].map { !surroundings.hasPassed($0.trustedUntil) } ?? true }
      // An epoch that was lost means that Redis forgot the lease: the batch is given out again under a later fence.
      if error.code == .epochLost || !isTrusted { lose(lease, "\(error)") }
    }
  }

  private func lose(_ lease: Lease, _ reason: String) {
    guard let lost = held.withLock({ $0.removeValue(forKey: lease.fence) }) else { return }
    Counter(label: MetricName.leasesLost).increment()
    logger.warning(
      "lost a lease", metadata: ["lane": "\(lease.lane)", "fence": "\(lease.fence)", "reason": "\(reason)"])
    lost.onLoss()
  }
}
