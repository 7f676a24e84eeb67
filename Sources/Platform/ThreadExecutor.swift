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
/// `@unchecked`: all that varies is touched only in `locked` and in `next`, which hold the lock.
private final class JobQueueOfThread: @unchecked Sendable {
  private typealias Entry = (job: UnownedJob, serial: UnownedSerialExecutor, task: UnownedTaskExecutor)
  private typealias Sleeper = (until: Deadline, continuation: CheckedContinuation<Void, Never>)
  private let signal = MonotonicCondition()
  private var jobs: [Entry] = []
  private var sleepers: [Int: Sleeper] = [:]
  private var lastSleeper = 0
  private var stopped = false

  /// Changes something, and lets the thread look.
  private func locked<Value>(_ change: () -> Value) -> Value {
    signal.lock()
    defer {
      signal.unlock()
      signal.wakeWaiter()
    }
    return change()
  }

  func append(_ job: UnownedJob, on executors: (UnownedSerialExecutor, UnownedTaskExecutor)) {
    locked { jobs.append((job, executors.0, executors.1)) }
  }

  func nextSleeper() -> Int {
    locked {
      lastSleeper += 1
      return lastSleeper
    }
  }

  func add(_ sleeper: Int, until deadline: Deadline, _ continuation: CheckedContinuation<Void, Never>) {
    locked { sleepers[sleeper] = (deadline, continuation) }
  }

  func wake(_ sleeper: Int) { locked { sleepers.removeValue(forKey: sleeper) }?.continuation.resume() }

  func stop() { locked { stopped = true } }

  func run() {
    while let (batch, rested) = next() {
      for entry in batch { entry.job.runSynchronously(isolatedTo: entry.serial, taskExecutor: entry.task) }
      for sleeper in rested { sleeper.resume() }
    }
  }

  private func next() -> (jobs: [Entry], rested: [CheckedContinuation<Void, Never>])? {
    signal.lock()
    defer { signal.unlock() }
    while true {
      let rested = sleepers.filter { $0.value.until.hasPassed }
      if !jobs.isEmpty || !rested.isEmpty {
        defer { jobs.removeAll(keepingCapacity: true) }
        for sleeper in rested.keys { sleepers[sleeper] = nil }
        return (jobs, rested.values.map(\.continuation))
      }
      if stopped { return nil }
      signal.wait(until: sleepers.values.map(\.until).min())
    }
  }
}

/// A lock and a condition whose timed waits do not follow the wall clock, unlike those of `NSCondition`: a clock set
/// back by an hour must not delay a renewal by an hour.
///
/// `@unchecked`: the pointers never change, and what they point at is made to be shared.
private final class MonotonicCondition: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(changed, &attributes)
    pthread_condattr_destroy(&attributes)
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  func lock() { pthread_mutex_lock(mutex) }
  func unlock() { pthread_mutex_unlock(mutex) }
  func wakeWaiter() { pthread_cond_signal(changed) }

  /// Waits to be woken, or until the deadline; gives the lock up meanwhile.
  func wait(until deadline: Deadline?) {
    guard let deadline else {
      pthread_cond_wait(changed, mutex)
      return
    }
    var limit = timespec()
    clock_gettime(CLOCK_MONOTONIC, &limit)
    let (seconds, attoseconds) = deadline.remaining.components
    limit.tv_sec += Int(seconds)
    limit.tv_nsec += Int(attoseconds / 1_000_000_000)
    if limit.tv_nsec >= 1_000_000_000 {
      (limit.tv_sec, limit.tv_nsec) = (limit.tv_sec + 1, limit.tv_nsec - 1_000_000_000)
    }
    pthread_cond_timedwait(changed, mutex, &limit)
  }
}
