import Foundation
import Glibc
import Logging
import Platform

/// A PostgreSQL of our own: its files, sockets and log lie in one directory, and it ends when this process does.
///
/// It listens on a Unix socket in a directory that only its user and root can enter, and on 127.0.0.1 only if a port
/// is asked for. The data outlive it; started again in the same directory it finds them.
package actor PrivatePostgres {
  /// How a stop treats the sessions that are open.
  package enum StopMode: Sendable {
    /// Ends them (57P01) and closes the files cleanly.
    case fast
    /// Leaves as it is; the next start recovers. For throw-away databases.
    case immediate

    var signal: Int32 { self == .fast ? SIGINT : SIGQUIT }
  }

  package struct Options: Sendable {
    package var directory: String
    package var installation: PostgresInstallation
    package var superuser: String
    /// A TCP port on 127.0.0.1, where passwords are asked for; nil for none.
    package var port: Int?
    /// Parameters of postgresql.conf, above the defaults of this type.
    package var settings: [String: String]
    /// False gives up safety against a crash of the machine, not of the server, for speed: for tests.
    package var durable: Bool
    /// The server that this one begins as a copy of and follows as its standby; nil for one that stands alone.
    package var primary: PrivatePostgres?
    /// Recovery after a crash is the longest part of it.
    package var startLimit = Duration.seconds(60)
    package var stopLimit = Duration.seconds(20)

    package init(
      directory: String, installation: PostgresInstallation, superuser: String = "postgres", port: Int? = nil,
      settings: [String: String] = [:], durable: Bool = true
    ) {
      self.directory = directory
      self.installation = installation
      self.superuser = superuser
      self.port = port
      self.settings = settings
      self.durable = durable
    }
  }

  package nonisolated let options: Options
  /// The value for libpq's `host`.
  package nonisolated let socketDirectory: String
  /// The number in the socket's name, and the TCP port if one was asked for.
  package nonisolated let port: Int
  package nonisolated let logFile: String

  private let directory: PostgresDirectory
  private let logger: Logger
  private var process: ManagedProcess?

  private static let defaultPort = 5432
  private static let readinessInterval = Duration.milliseconds(20)

  private init(options: Options, directory: PostgresDirectory, logger: Logger) {
    self.options = options
    self.directory = directory
    self.logger = logger
    socketDirectory = directory.sockets
    port = options.port ?? Self.defaultPort
    logFile = directory.log
  }

  /// Starts one and returns when it takes connections. An empty directory becomes a database cluster first.
  package static func start(
    _ options: Options, logger: Logger = Logger(label: "sluice.local-servers")
  ) async throws -> PrivatePostgres {
    let root = URL(fileURLWithPath: options.directory).standardizedFileURL.path
    let directory = PostgresDirectory(root: root, user: try UnprivilegedUser.choose())
    let server = PrivatePostgres(options: options, directory: directory, logger: logger)
    try await server.start()
    return server
  }

  package var pid: pid_t? { process.flatMap { $0.isRunning ? $0.pid : nil } }

  /// `postgres://user@/database?host=…`, over the Unix socket.
  package nonisolated func url(database: String = "postgres", user: String? = nil) -> String {
    var components = URLComponents()
    components.queryItems = [
      URLQueryItem(name: "host", value: socketDirectory), URLQueryItem(name: "port", value: String(port)),
    ]
    let query = components.percentEncodedQuery ?? ""
    return "postgres://\(Self.escaped(user ?? options.superuser))@/\(Self.escaped(database))?\(query)"
  }

  /// Starts it again after `stop` or `kill`; does nothing while it runs.
  package func start() async throws {
    if let process, process.isRunning { return }
    try directory.prepare(port: port)
    try await directory.awaitPredecessor()
    if let primary = options.primary {
      try await directory.follow(
        socket: primary.socketDirectory, port: primary.port, with: options.installation, superuser: options.superuser)
    } else {
      try await directory.initialise(
        with: options.installation, superuser: options.superuser, durable: options.durable)
    }
    try directory.writeAccessRules()
    let process = try await ManagedProcess.start(launch())
    self.process = process
    try await awaitReadiness(of: process)
    logger.debug("PostgreSQL is ready", metadata: ["directory": "\(directory.root)", "pid": "\(process.pid)"])
  }

  /// Ends it and returns when it is gone. Calling it again does nothing.
  package func stop(_ mode: StopMode = .fast) async {
    guard let process else { return }
    await process.stop(signal: mode.signal, grace: options.stopLimit)
  }

  package func restart(_ mode: StopMode = .fast) async throws {
    await stop(mode)
    try await start()
  }

  /// Kills the postmaster as a crash would, and returns when its sessions have noticed and are gone too.
  package func kill() async throws {
    guard let process else { return }
    let sessions = ProcessTable.children(of: process.pid)
    await process.stop(signal: SIGKILL)
    let deadline = Deadline.after(options.stopLimit)
    while sessions.contains(where: ProcessTable.exists) {
      guard !deadline.hasPassed else {
        throw LocalServersError(.timedOut, "sessions of the killed PostgreSQL in \(directory.root) do not end")
      }
      try await Task.sleep(for: Self.readinessInterval)
    }
  }

  /// Stops the clock of the postmaster and all its sessions: to clients it is a server that no longer answers.
  package func suspend() throws { try signalAll(SIGSTOP) }

  package func resume() throws { try signalAll(SIGCONT) }

  private func signalAll(_ signal: Int32) throws {
    guard let process else { throw LocalServersError(.notRunning, "PostgreSQL in \(directory.root) is not running") }
    try process.signal(signal)
    for session in ProcessTable.children(of: process.pid) { Glibc.kill(session, signal) }
  }

  private func launch() -> Launch {
    let settings = defaultSettings().merging(options.settings) { $1 }
    let arguments = settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }
    return Launch(
      options.installation.program("postgres"), ["-D", directory.data] + arguments,
      environment: Launch.bareEnvironment(), logFile: logFile, workingDirectory: directory.root,
      user: directory.user, deathSignal: .interrupt)
  }

  private func defaultSettings() -> [String: String] {
    var settings = [
      "unix_socket_directories": socketDirectory, "unix_socket_permissions": "0700", "port": String(port),
      "listen_addresses": options.port == nil ? "" : "127.0.0.1", "max_connections": "200",
      "log_timezone": "UTC", "timezone": "UTC", "logging_collector": "off",
    ]
    // Commits stay synchronous: a killed server loses nothing, only a machine that loses its power does.
    if !options.durable { settings.merge(["fsync": "off", "full_page_writes": "off"]) { $1 } }
    return settings
  }

  private func awaitReadiness(of process: ManagedProcess) async throws {
    let deadline = Deadline.after(options.startLimit)
    while !directory.isReady(process.pid) {
      if let status = process.exitStatus {
        throw LocalServersError(
          .endedEarly, "PostgreSQL in \(directory.root) ended with \(status) before it was ready; see \(logFile)",
          logTail: LogTail.read(logFile))
      }
      guard !deadline.hasPassed, !Task.isCancelled else {
        await process.stop(signal: SIGQUIT)
        try Task.checkCancellation()
        throw LocalServersError(
          .timedOut, "PostgreSQL in \(directory.root) was not ready in \(options.startLimit); see \(logFile)",
          logTail: LogTail.read(logFile))
      }
      // best effort: a cancelled sleep returns early, and the guard above acts on it
      try? await Task.sleep(for: Self.readinessInterval)
    }
  }

  private static func escaped(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(CharacterSet(charactersIn: "-_.~"))) ?? text
  }
}
