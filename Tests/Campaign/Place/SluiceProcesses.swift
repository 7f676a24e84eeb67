import Foundation
import Glibc
import LocalServers
import Platform

/// The schedulers and workers: each is started again when it ends, as whatever runs them in production would.
actor SluiceProcesses {
  struct Role: Sendable {
    let name: String
    /// The executable and its words, with whatever stands before it.
    let words: [String]
    let environment: [String: String]
    let logFile: String
  }

  /// Between the end of a process and its next start.
  private static let restartDelay: Duration = .milliseconds(300)
  /// Longer than the drain that its settings allow.
  private static let stopLimit: Duration = .seconds(20)
  /// A process that starts while a server is away says so and ends; one that ran this long should not.
  private static let startPatience: Duration = .seconds(25)

  private var running: [String: ManagedProcess] = [:]
  /// Pids whose end was asked for.
  private var asked: Set<pid_t> = []
  private(set) var starts = 0
  /// Ends that nobody asked for and no outage at the start explains.
  private(set) var surprises: [String] = []

  /// Keeps one running until the task is cancelled; then lets it drain.
  func keepAlive(_ role: Role) async throws {
    while !Task.isCancelled {
      let since = ContinuousClock.now
      let process = try await ManagedProcess.start(
        Launch(role.words[0], Array(role.words.dropFirst()), environment: role.environment, logFile: role.logFile))
      running[role.name] = process
      starts += 1
      guard let status = await process.waitForExit() else { break }
      note(role.name, process, status, after: since.duration(to: .now))
      if Task.isCancelled { break }
      // best effort: a cancelled wait ends the loop
      try? await pause(Self.restartDelay)
    }
    if let process = running.removeValue(forKey: role.name), process.isRunning { await stop(process) }
  }

  private func note(_ name: String, _ process: ManagedProcess, _ status: LocalServers.ExitStatus, after age: Duration) {
    guard asked.remove(process.pid) == nil else { return }
    switch status {
    case .exited where age < Self.startPatience: break
    default: surprises.append("\(name) (process \(process.pid)) ended by itself: \(status)")
    }
  }

  private func stop(_ process: ManagedProcess) async {
    asked.insert(process.pid)
    // best effort: a process that has just ended cannot be woken, and need not be
    try? process.signal(SIGCONT)
    await process.stop(signal: SIGTERM, grace: Self.stopLimit)
  }

  /// Sends a signal that ends it, whatever runs under that name; nothing if nothing does at this moment.
  func signal(_ name: String, _ signal: Int32) throws {
    guard let process = running[name], process.isRunning else { return }
    asked.insert(process.pid)
    // best effort: it may end by itself between the question and the signal
    try? process.signal(signal)
  }

  /// Stops its clock for a while; whatever happens it is started again.
  func suspend(_ name: String, for length: Duration) async throws {
    guard let process = running[name], process.isRunning else { return }
    // best effort: it may end by itself between the question and the signal
    try? process.signal(SIGSTOP)
    defer {
      // best effort: as above
      try? process.signal(SIGCONT)
    }
    try await pause(length)
  }
}
