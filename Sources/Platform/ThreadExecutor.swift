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

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  package func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor(ordinary: self) }
}

/// The queue between callers and the thread: a condition variable, because a contended `Mutex` cannot be waited on.
///
/// `@unchecked`: `jobs` and `stopped` are touched only while `condition` is held.
private final class JobQueueOfThread: @unchecked Sendable {
  private typealias Entry = (job: UnownedJob, serial: UnownedSerialExecutor, task: UnownedTaskExecutor)
  private let condition = NSCondition()
  private var jobs: [Entry] = []
  private var stopped = false

  func append(_ job: UnownedJob, on executors: (UnownedSerialExecutor, UnownedTaskExecutor)) {
    condition.lock()
    jobs.append((job, executors.0, executors.1))
    condition.unlock()
    condition.signal()
  }

  func stop() {
    condition.lock()
    stopped = true
    condition.unlock()
    condition.signal()
  }

  func run() {
    while let batch = next() {
      for entry in batch { entry.job.runSynchronously(isolatedTo: entry.serial, taskExecutor: entry.task) }
    }
  }

  private func next() -> [Entry]? {
    condition.lock()
    defer { condition.unlock() }
    while jobs.isEmpty {
      if stopped { return nil }
      condition.wait()
    }
    defer { jobs.removeAll(keepingCapacity: true) }
    return jobs
  }
}
