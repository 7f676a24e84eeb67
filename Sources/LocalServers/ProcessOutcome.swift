import Glibc
import Synchronization

/// How one child ended, and who waits to be told.
final class ProcessOutcome: Sendable {
  private typealias Waiter = CheckedContinuation<ExitStatus?, Never>

  private struct State {
    var status: ExitStatus?
    var waiters: [Int: Waiter] = [:]
    var nextWaiter = 0
    var cancelled: Set<Int> = []
  }

  private let state = Mutex(State())

  var status: ExitStatus? { state.withLock { $0.status } }

  /// Blocks the calling thread until `pid` has ended.
  ///
  /// It first waits without reaping, so that the pid is given back to the system only under the lock that
  /// `send(_:to:)` holds: a signal can never hit another process that got the same pid.
  func reap(_ pid: pid_t) {
    var information = siginfo_t()
    while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) == -1 && errno == EINTR {}
    let (waiters, status) = state.withLock { state in
      var waitStatus: Int32 = 0
      while waitpid(pid, &waitStatus, 0) == -1 && errno == EINTR {}
      let status = ExitStatus(waitStatus: waitStatus)
      state.status = status
      defer { state.waiters = [:] }
      return (Array(state.waiters.values), status)
    }
    for waiter in waiters { waiter.resume(returning: status) }
  }

  /// False when the process is gone.
  func send(_ signal: Int32, to pid: pid_t) -> Bool {
    state.withLock { $0.status == nil && kill(pid, signal) == 0 }
  }

  /// Nil when the task was cancelled before the process ended.
  func wait() async -> ExitStatus? {
    let ticket = state.withLock { state in
      defer { state.nextWaiter += 1 }
      return state.nextWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { enter($0, ticket: ticket) }
    } onCancel: {
      leave(ticket)
    }
  }

  /// Waits even if the task is cancelled: for a process that has been killed and is about to be gone.
  func uninterruptedWait() async -> ExitStatus {
    let status: ExitStatus? = await withCheckedContinuation { continuation in
      let ticket = state.withLock { state in
        defer { state.nextWaiter += 1 }
        return state.nextWaiter
      }
      enter(continuation, ticket: ticket)
    }
    guard let status else { preconditionFailure("a waiter that cannot be cancelled was told of no exit") }
    return status
  }

  private func enter(_ waiter: CheckedContinuation<ExitStatus?, Never>, ticket: Int) {
    let answer: ExitStatus?? = state.withLock { state in
      if let status = state.status { return .some(status) }
      if state.cancelled.remove(ticket) != nil { return .some(nil) }
      state.waiters[ticket] = waiter
      return .none
    }
    if case .some(let status) = answer { waiter.resume(returning: status) }
  }

  private func leave(_ ticket: Int) {
    let waiter: Waiter? = state.withLock { state in
      if let waiter = state.waiters.removeValue(forKey: ticket) { return waiter }
      // Cancelled before it began to wait: remembered for `enter`, unless there is nothing left to wait for.
      if state.status == nil { state.cancelled.insert(ticket) }
      return nil
    }
    waiter?.resume(returning: nil)
  }
}
