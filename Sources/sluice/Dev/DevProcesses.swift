import Foundation
import LocalServers
import Logging
import Platform

/// The scheduler and the workers of `sluice dev`: child processes of this executable, each started again if it dies.
actor DevProcesses {
  /// How long a process may drain; longer than its own limit.
  private static let stopLimit: Duration = .seconds(30)
  /// A process that lives this long has started well: its deaths before count no more.
  private static let settledAfter: Duration = .seconds(30)
  private static let restarts = Backoff(base: .milliseconds(200), cap: .seconds(10))

  private let executable: String
  private let environment: [String: String]
  private let directory: DevDirectory
  private let logger: Logger
  private let onChange: @Sendable ([String: Int32]) async throws -> Void
  private var running: [String: ManagedProcess] = [:]

  /// - Parameter onChange: told the pids by name whenever a process was started.
  init(
    directory: DevDirectory, environment: [String: String], logger: Logger,
    onChange: @escaping @Sendable ([String: Int32]) async throws -> Void
  ) throws {
    // Resolved here: behind setpriv the link would name setpriv.
    executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    self.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
    self.directory = directory
    self.logger = logger
    self.onChange = onChange
  }

  static func workerName(_ number: Int) -> String { "worker-\(number)" }

  /// Starts the scheduler and the workers, and starts again whichever dies, until the task is cancelled.
  func run(workers: Int, onStarted: @escaping @Sendable () async throws -> Void) async throws {
    let roles = [("scheduler", "scheduler")] + (1...workers).map { (Self.workerName($0), "worker") }
    for (name, command) in roles { try await start(name, command) }
    try await onChange(pids)
    try await onStarted()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (name, command) in roles { group.addTask { try await self.keepAlive(name, command) } }
      try await group.waitForAll()
    }
  }

  var pids: [String: Int32] { running.mapValues(\.pid) }

  private func start(_ name: String, _ command: String) async throws {
    running[name] = try await ManagedProcess.start(
      Launch(executable, [command], environment: environment, logFile: "\(directory.logs)/\(name).log"))
  }

  private func keepAlive(_ name: String, _ command: String) async throws {
    var failures = 0
    while let process = running[name] {
      let since = ContinuousClock.now
      guard let status = await process.waitForExit() else { throw CancellationError() }
      try Task.checkCancellation()
      failures = ContinuousClock.now - since > Self.settledAfter ? 1 : failures + 1
      logger.warning(
        "\(name) ended and is started again",
        metadata: ["status": "\(status)", "pid": "\(process.pid)", "log": "\(directory.logs)/\(name).log"])
      try await Task.sleep(for: Self.restarts.delay(failures: failures))
      try await start(name, command)
      try await onChange(pids)
    }
  }

  /// Lets all of them drain at the same time, and returns when they are gone.
  func stop() async {
    await withTaskGroup(of: Void.self) { group in
      for process in running.values {
        group.addTask { _ = await process.stop(signal: SIGTERM, grace: Self.stopLimit) }
      }
    }
    running = [:]
  }
}
