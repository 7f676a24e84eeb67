import Foundation
import Synchronization

/// A thread of its own that runs actor jobs and preferred tasks one after another.
///
/// The cooperative pool has as many threads as cores, so whatever blocks (libpq in `poll(2)`) or must not be
/// delayed by blocked handlers (lease renewal) runs here. Actors name it as their `unownedExecutor`; tasks take it
/// with `Task(executorPreference:)`, without which a resumed continuation goes through the pool first (measured:
/// a 50 ms beat came 2 s late).
///
/// The thread ends when the last reference to the executor is gone and its queue is empty.
package final class ThreadExecutor: SerialExecutor, TaskExecutor, Sendable {
  private let queue: JobQueueOfThread

  package init(name: String) {
    let queue = JobQueueOfThread()
    self.queue = queue
    let thread = Thread { queue.run() }
    thread.name = name
    thread.start()
  }

  deinit { queue.stop() }

  package func enqueue(_ job: consuming ExecutorJob) {
    queue.append(UnownedJob(job), on: (asUnownedSerialExecutor(), asUnownedTaskExecutor()))
  }

  /// Suspends a task until the time has passed; the thread itself wakes it, so a busy cooperative pool does not matter.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  package func sleep(for duration: Duration) async throws {
    let sleeper = queue.nextSleeper()
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        queue.add(sleeper, until: .after(duration), continuation)
        // Cancelled before it was added: nobody else will wake it.
        if Task.isCancelled { queue.wake(sleeper) }
      }
    } onCancel: {
      queue.wake(sleeper)
    }
    try Task.checkCancellation()
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
}

/// The queue between callers and the thread: a condition variable, because a contended `Mutex` cannot be waited on.
///
/// `@unchecked`: all that varies is touched only while `condition` is held.
private final class JobQueueOfThread: @unchecked Sendable {
  private typealias Entry = (job: UnownedJob, serial: UnownedSerialExecutor, task: UnownedTaskExecutor)
  private typealias Sleeper = (until: Deadline, continuation: CheckedContinuation<Void, Never>)
  private let condition = NSCondition()
  private var jobs: [Entry] = []
  private var sleepers: [Int: Sleeper] = [:]
  private var lastSleeper = 0
  private var stopped = false

  func append(_ job: UnownedJob, on executors: (UnownedSerialExecutor, UnownedTaskExecutor)) {
    condition.lock()
    jobs.append((job, executors.0, executors.1))
    condition.unlock()
    condition.signal()
  }

  func nextSleeper() -> Int {
    condition.lock()
    defer { condition.unlock() }
    lastSleeper += 1
    return lastSleeper
  }

  func add(_ sleeper: Int, until deadline: Deadline, _ continuation: CheckedContinuation<Void, Never>) {
    condition.lock()
    sleepers[sleeper] = (deadline, continuation)
    condition.unlock()
    condition.signal()
  }

  func wake(_ sleeper: Int) {
    condition.lock()
    let found = sleepers.removeValue(forKey: sleeper)
    condition.unlock()
    found?.continuation.resume()
  }

  func stop() {
    condition.lock()
    stopped = true
    condition.unlock()
    condition.signal()
  }

  func run() {
    while let (batch, rested) = next() {
      for entry in batch { entry.job.runSynchronously(isolatedTo: entry.serial, taskExecutor: entry.task) }
      for sleeper in rested { sleeper.resume() }
    }
  }

  private func next() -> (jobs: [Entry], rested: [CheckedContinuation<Void, Never>])? {
    condition.lock()
    defer { condition.unlock() }
    while true {
      let rested = sleepers.filter { $0.value.until.hasPassed }
      if !jobs.isEmpty || !rested.isEmpty {
        defer { jobs.removeAll(keepingCapacity: true) }
        for sleeper in rested.keys { sleepers[sleeper] = nil }
        return (jobs, rested.values.map(\.continuation))
      }
      if stopped { return nil }
      if let first = sleepers.values.map(\.until).min() {
        _ = condition.wait(until: Date(timeIntervalSinceNow: first.remaining.inSeconds))
      } else {
        condition.wait()
      }
    }
  }
}
