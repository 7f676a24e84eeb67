import Foundation
import Glibc
import Logging
import Platform

/// A Redis of our own: its files and log lie in one directory, it listens on 127.0.0.1 only, never evicts, and ends
/// when this process does.
package actor PrivateRedis {
  package struct Options: Sendable {
    package var directory: String
    /// Nil takes a free one, and keeps it over restarts.
    package var port: Int?
    /// True keeps the data over restarts, losing a second at most to a crash.
    package var appendOnly: Bool
    /// Directives of redis.conf, above the defaults of this type.
    package var settings: [String: String]
    package var startLimit = Duration.seconds(30)
    package var stopLimit = Duration.seconds(10)

    package init(directory: String, port: Int? = nil, appendOnly: Bool = true, settings: [String: String] = [:]) {
      self.directory = directory
      self.port = port
      self.appendOnly = appendOnly
      self.settings = settings
    }
  }

  package nonisolated let options: Options
  package nonisolated let port: Int
  package nonisolated let logFile: String

  private let directory: String
  private let user: UnprivilegedUser?
  private let logger: Logger
  private var process: ManagedProcess?

  /// A free port may be taken by somebody else before Redis has bound it.
  private static let portAttempts = 5
  private static let readinessInterval = Duration.milliseconds(20)
  private static let commandLimit = Duration.seconds(5)

  private init(options: Options, port: Int, user: UnprivilegedUser?, logger: Logger) {
    self.options = options
    self.port = port
    self.user = user
    self.logger = logger
    directory = URL(fileURLWithPath: options.directory).standardizedFileURL.path
    logFile = "\(directory)/redis.log"
  }

  /// Starts one and returns when it answers, its data loaded.
  package static func start(
    _ options: Options, logger: Logger = Logger(label: "sluice.local-servers")
  ) async throws -> PrivateRedis {
    let user = try UnprivilegedUser.choose()
    var attempts = options.port == nil ? portAttempts : 1
    while true {
      attempts -= 1
      let port = try options.port ?? LoopbackPort.free()
      let server = PrivateRedis(options: options, port: port, user: user, logger: logger)
      do {
        try await server.start()
        return server
      } catch let error as LocalServersError where attempts > 0 && error.isPortTaken {
        logger.debug("port was taken, trying another", metadata: ["port": "\(port)"])
      }
    }
  }

  package var pid: pid_t? { process.flatMap { $0.isRunning ? $0.pid : nil } }

  package nonisolated var url: String { "redis://127.0.0.1:\(port)" }

  /// Starts it again on the same port after `stop` or `kill`; does nothing while it runs.
  package func start() async throws {
    if let process, process.isRunning { return }
    try PrivateDirectory.make(directory, for: user)
    let process = try await ManagedProcess.start(launch())
    self.process = process
    try await awaitReadiness(of: process)
    logger.debug("Redis is ready", metadata: ["port": "\(port)", "pid": "\(process.pid)"])
  }

  /// Writes what it must keep, ends it and returns when it is gone. Calling it again does nothing.
  package func stop() async {
    guard let process else { return }
    await process.stop(signal: SIGTERM, grace: options.stopLimit)
  }

  package func restart() async throws {
    await stop()
    try await start()
  }

  /// Ends it as a crash would, and returns when it is gone.
  package func kill() async { await process?.stop(signal: SIGKILL) }

  /// Freezes it: to clients it is a server that no longer answers.
  package func suspend() throws { try running().signal(SIGSTOP) }

  package func resume() throws { try running().signal(SIGCONT) }

  /// Makes it lose everything that it holds.
  package func flush() async throws { _ = try await command("FLUSHALL") }

  /// What `redis-cli` prints for a command.
  package func command(_ words: String...) async throws -> String {
    let client = Launch(
      "redis-cli", ["-e", "-h", "127.0.0.1", "-p", String(port)] + words, environment: Launch.bareEnvironment())
    let run = try await ToolRun.run(client, deadline: .after(Self.commandLimit))
    guard run.status.isSuccess else {
      throw LocalServersError(.notRunning, "Redis on port \(port) refused \(words.first ?? ""): \(run.output)")
    }
    return run.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func running() throws(LocalServersError) -> ManagedProcess {
    guard let process else { throw LocalServersError(.notRunning, "Redis on port \(port) is not running") }
    return process
  }

  private func launch() -> Launch {
    let settings = defaultSettings().merging(options.settings) { $1 }
    let arguments = settings.sorted { $0.key < $1.key }.flatMap { ["--\($0.key)", $0.value] }
    return Launch(
      "redis-server", arguments, environment: Launch.bareEnvironment(), logFile: logFile,
      workingDirectory: directory, user: user, deathSignal: .terminate)
  }

  private func defaultSettings() -> [String: String] {
    [
      "bind": "127.0.0.1", "port": String(port), "dir": directory, "daemonize": "no",
      "maxmemory-policy": "noeviction", "save": "", "appendonly": options.appendOnly ? "yes" : "no",
      "appendfsync": "everysec",
    ]
  }

  /// Ready is when *our* process answers, and no stranger on the same port, with its data loaded.
  private func awaitReadiness(of process: ManagedProcess) async throws {
    let deadline = Deadline.after(options.startLimit)
    while true {
      if let status = process.exitStatus { throw endedEarly(status) }
      guard !deadline.hasPassed else { break }
      // best effort: until it listens and has loaded its data it refuses
      let answer = (try? await command("INFO")) ?? ""
      if answer.contains("process_id:\(process.pid)\r"), answer.contains("loading:0\r") { return }
      do {
        try await Task.sleep(for: Self.readinessInterval)
      } catch {
        await process.stop(signal: SIGKILL)
        throw error
      }
    }
    await process.stop(signal: SIGKILL)
    throw LocalServersError(
      .timedOut, "Redis on port \(port) was not ready in \(options.startLimit); see \(logFile)",
      logTail: LogTail.read(logFile))
  }

  private func endedEarly(_ status: ExitStatus) -> LocalServersError {
    LocalServersError(
      .endedEarly, "Redis on port \(port) ended with \(status) before it was ready; see \(logFile)",
      logTail: LogTail.read(logFile))
  }
}

extension LocalServersError {
  /// What Redis logs when it cannot bind (`anetListen`).
  fileprivate var isPortTaken: Bool { code == .endedEarly && logTail?.contains("Address already in use") == true }
}
