import Foundation
import Glibc
import Platform
import Synchronization

/// A process that this one started, waits for and may signal.
///
/// A thread of its own starts it and stays in `waitpid(2)` until it ends. That keeps the cooperative pool free, and
/// is what makes the death signal right: the kernel sends it when the *thread* that started the child ends, and this
/// one ends only after the child, or with the whole process.
package final class ManagedProcess: Sendable {
  package let launch: Launch
  package let pid: pid_t
  private let outcome: ProcessOutcome

  private init(launch: Launch, pid: pid_t, outcome: ProcessOutcome) {
    self.launch = launch
    self.pid = pid
    self.outcome = outcome
  }

  /// Starts it. Returns as soon as the system has made the process; it may still fail to become the executable.
  package static func start(_ launch: Launch) async throws -> ManagedProcess {
    let outcome = ProcessOutcome()
    let pid: pid_t = try await withCheckedThrowingContinuation { continuation in
      let thread = Thread {
        do throws(LocalServersError) {
          let pid = try Spawn.start(launch)
          continuation.resume(returning: pid)
          outcome.reap(pid)
        } catch {
          continuation.resume(throwing: error)
        }
      }
      thread.name = "wait-for-child"
      thread.start()
    }
    return ManagedProcess(launch: launch, pid: pid, outcome: outcome)
  }

  package var isRunning: Bool { outcome.status == nil }

  /// How it ended; nil while it runs.
  package var exitStatus: ExitStatus? { outcome.status }

  /// Waits until it has ended; nil when `deadline` passed or the task was cancelled first.
  package func waitForExit(until deadline: Deadline? = nil) async -> ExitStatus? {
    guard let deadline else { return await outcome.wait() }
    return await withTaskGroup(of: ExitStatus?.self) { group in
      group.addTask { await self.outcome.wait() }
      group.addTask {
        // best effort: a cancelled sleep ends the wait early, which is what cancellation asks for
        try? await Task.sleep(for: deadline.remaining)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first ?? self.exitStatus
    }
  }

  /// Sends `signal`. Cannot reach a stranger under a reused pid: once the process is reaped it throws `notRunning`.
  package func signal(_ signal: Int32) throws(LocalServersError) {
    guard outcome.send(signal, to: pid) else {
      throw LocalServersError(.notRunning, "cannot signal \(launch.executable): process \(pid) has ended")
    }
  }

  /// Asks it to end with `signal`, and after `grace` kills it. Returns once it is gone, also in a cancelled task.
  @discardableResult
  package func stop(signal: Int32 = SIGTERM, grace: Duration = .seconds(10)) async -> ExitStatus {
    _ = outcome.send(signal, to: pid)
    // Outlives the caller's cancellation, which is often the very reason for the stop, and is awaited here.
    let patience = Task { await self.waitForExit(until: .after(grace)) }
    if let status = await patience.value { return status }
    _ = outcome.send(SIGKILL, to: pid)
    return await outcome.uninterruptedWait()
  }
}
