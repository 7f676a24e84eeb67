import Foundation
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

  /// The thread that `run` must be started on, as the task's preferred executor.
  package let executor = ThreadExecutor(name: "lease-renewal")
  private let queue: LaneQueue
  private let interval: Duration
  private let logger: Logger
  private let held = Mutex<[Fence: Held]>([:])
  private let stopSignal = StopSignal()

  package init(queue: LaneQueue, logger: Logger) {
    self.queue = queue
    self.logger = logger
    // Three tries before a lease ends.
    interval = queue.configuration.leaseTTL / 3
  }

  /// Keeps a lease alive until `forget`. `onLoss` is called once if it was lost, or can no longer be trusted.
  package func keep(_ lease: Lease, onLoss: @escaping @Sendable () -> Void) {
    held.withLock { $0[lease.fence] = Held(lease: lease, trustedUntil: lease.trustedUntil, onLoss: onLoss) }
  }

  package func forget(_ lease: Lease) { held.withLock { _ = $0.removeValue(forKey: lease.fence) } }

  /// Ends `run` soon.
  package func stop() { stopSignal.set() }

  /// - Parameter onRound: called in each round: a sign of life that does not depend on how long batches take.
  package func run(onRound: @Sendable () -> Void = {}) async {
    while !stopSignal.isSet(within: interval) {
      onRound()
      for lease in held.withLock({ $0.values.map(\.lease) }) { await renew(lease) }
    }
  }

  private func renew(_ lease: Lease) async {
    let asked = ContinuousClock.now
    do {
      guard try await queue.extend(lease) else { return lose(lease, "another worker may have the lane") }
      let trusted = Deadline(asked.advanced(by: lease.ttl))
      held.withLock { $0[lease.fence]?.trustedUntil = trusted }
    } catch {
      let isTrusted = held.withLock { $0[lease.fence].map { !$0.trustedUntil.hasPassed } ?? true }
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

/// A flag that a thread can wait for. It blocks the thread it is called on: `Task.sleep` would go through the
/// cooperative pool, where blocked handlers delay it (measured: 849 ms for 50).
///
/// `@unchecked`: `raised` is touched only while `condition` is held.
private final class StopSignal: @unchecked Sendable {
  private let condition = NSCondition()
  private var raised = false

  func set() {
    condition.lock()
    raised = true
    condition.unlock()
    condition.broadcast()
  }

  /// True as soon as the flag is set, false when the time is up.
  func isSet(within duration: Duration) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    let limit = Date(timeIntervalSinceNow: duration.inSeconds)
    while !raised { if !condition.wait(until: limit) { break } }
    return raised
  }
}
