import JobQueue
import Logging
import Metrics
import Platform
import ServiceLifecycle
import Synchronization

/// Leases lanes and works their batches, several lanes at a time. Any number of workers may run.
///
/// On graceful shutdown it leases nothing more and lets its batches end; cancelled, it gives them back, uncounted.
package struct Worker: Service {
  let configuration: WorkerConfiguration
  let queue: any WorkQueue
  let batches: BatchRun
  let renewal: LeaseRenewal
  let surroundings: any Surroundings
  let logger: Logger
  package let progress = LoopProgress()

  package init(
    configuration: WorkerConfiguration, queue: any WorkQueue, ledger: any Ledger, handler: any BatchHandler,
    surroundings: any Surroundings = MachineSurroundings(), logger: Logger
  ) {
    self.configuration = configuration
    self.queue = queue
    self.surroundings = surroundings
    self.logger = logger
    renewal = LeaseRenewal(queue: queue, surroundings: surroundings, logger: logger)
    batches = BatchRun(
      configuration: configuration, queue: queue, ledger: ledger, handler: handler, surroundings: surroundings,
      pace: BatchPace(batchTime: configuration.batchTime, most: configuration.batchSize), logger: logger)
  }

  package func run() async throws {
    logger.info(
      "worker started",
      metadata: ["worker": "\(configuration.name)", "concurrency": "\(configuration.concurrency)"])
    await withTaskGroup(of: Void.self) { group in
      group.addTask(executorPreference: renewal.executor) { await renewal.run { progress.note() } }
      if let beat = configuration.beat {
        let heartbeat = Heartbeat(
          beat: beat, progress: configuration.progress, queue: queue, surroundings: renewal.surroundings, logger: logger
        )
        group.addTask(executorPreference: renewal.executor) { await heartbeat.run() }
      }
      await withDiscardingTaskGroup { batchGroup in await leaseUntilShutdown(&batchGroup) }
      group.cancelAll()
    }
    logger.info("worker stopped", metadata: ["worker": "\(configuration.name)"])
  }

  private func leaseUntilShutdown(_ group: inout DiscardingTaskGroup) async {
    let slots = Slots(configuration.concurrency)
    var failures = 0
    var nextDue = surroundings.now
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      progress.note()
      // A slot first: whoever waits for work takes another worker's turn to be woken.
      await surroundings.cancelledByShutdown { await slots.take() }
      await waitForWork(until: nextDue)
      if Task.isShuttingDownGracefully || Task.isCancelled { break }
      do {
        let reply = try await queue.lease(
          worker: configuration.name, limit: configuration.batchSize, classes: configuration.classes)
        failures = 0
        switch reply {
        case .leased(let lease):
          nextDue = surroundings.now.advanced(by: lease.nextDue ?? queue.longestWait)
          group.addTask {
            var next: Lease? = lease
            while let lease = next { next = await work(lease) }
            slots.giveBack()
          }
        case .empty(let due):
          slots.giveBack()
          nextDue = surroundings.now.advanced(by: max(due ?? queue.longestWait, .milliseconds(1)))
        }
      } catch {
        slots.giveBack()
        nextDue = surroundings.now
        failures += 1
        await pause(after: error, failures: failures)
      }
    }
  }

  private func waitForWork(until nextDue: ContinuousClock.Instant) async {
    let longest = surroundings.now.duration(to: nextDue)
    guard longest > .zero, !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
    await surroundings.cancelledByShutdown {
      await queue.waitForWork(atMost: max(longest, .milliseconds(1)), classes: configuration.classes)
    }
  }

  private func pause(after error: JobQueueError, failures: Int) async {
    // A scheduler is about to fill an empty Redis again: the shortest pause is enough.
    let failures = error.code == .epochLost ? 1 : failures
    logger.log(
      level: failures == 1 ? .info : .warning, "cannot lease; trying again", metadata: ["error": "\(error)"])
    let delay = surroundings.delay(configuration.outageBackoff, failures: failures)
    // best effort: a cancelled wait ends at once, and so does the loop
    await surroundings.cancelledByShutdown { try? await surroundings.sleep(for: delay) }
  }

  /// Works one lease, and stops when it is lost: whoever has the lane now reads the desired state afresh.
  ///
  /// - Returns: The next lease, if there is one: whoever settles a batch takes the next lane in the same step.
  private func work(_ lease: Lease) async -> Lease? {
    // Lives as long as this call, which awaits it; a task of its own, so that losing the lease cancels just this batch.
    let batch = Task(executorPreference: surroundings.executor) { await batches.run(lease) }
    renewal.keep(lease) { batch.cancel() }
    defer { renewal.forget(lease) }
    return await withTaskCancellationHandler {
      await batch.value
    } onCancel: {
      batch.cancel()
    }
  }
}

/// Room for a fixed number of batches.
final class Slots: Sendable {
  private struct State {
    var free: Int
    var waiter: CheckedContinuation<Void, Never>?
  }
  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(free: count)) }

  /// Waits for a free slot; only one caller at a time. A cancelled wait returns without one.
  func take() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isFree = state.withLock { state in
          if state.free == 0, !Task.isCancelled { state.waiter = continuation }
          return state.waiter == nil
        }
        if isFree { continuation.resume() }
      }
    } onCancel: {
      wakeWaiter()
    }
    state.withLock { $0.free = max(0, $0.free - 1) }
  }

  func giveBack() {
    state.withLock { $0.free += 1 }
    wakeWaiter()
  }

  private func wakeWaiter() {
    state.withLock { state in
      defer { state.waiter = nil }
      return state.waiter
    }?.resume()
  }
}
