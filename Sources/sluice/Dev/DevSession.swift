import Foundation
import LakebaseStandIn
import LocalServers
import Logging
import Metadata
import Platform
import Postgres

/// One run of `sluice dev`, from an empty directory or on what an earlier run left.
struct DevSession: Sendable {
  static let metadataDatabase = "sluice"
  static let demoConnection = "prod"

  let directory: DevDirectory
  let workers: Int
  let isDemo: Bool
  let logLevel: String
  let logger: Logger

  /// Starts everything and keeps it running until the task is cancelled; then, or on a failure, stops all of it.
  func run() async throws {
    let lock = try directory.lock()
    defer { withExtendedLifetime(lock) {} }
    for stale in [directory.environmentFile, directory.factsFile] where FileManager.default.fileExists(atPath: stale) {
      try FileManager.default.removeItem(atPath: stale)
    }
    try directory.ensureKey()
    let servers = try await DevServers.start(in: directory, withExample: isDemo, logger: logger)
    do {
      try await migrate(servers)
      try await work(servers)
      await servers.stop()
    } catch {
      await servers.stop()
      throw error
    }
  }

  private func migrate(_ servers: DevServers) async throws {
    logger.info("migrating the metadata database")
    try await Self.withConnection(servers.metadata.url()) { connection in
      let known = try await connection.query(
        "select from pg_database where datname = $1", [.text(Self.metadataDatabase)])
      if known.rows.isEmpty { try await connection.execute("create database \(Self.metadataDatabase)") }
    }
    try await Self.withConnection(servers.metadata.url(database: Self.metadataDatabase)) { connection in
      _ = try await Schema.migrator.migrate(on: connection)
    }
  }

  private static func withConnection(_ url: String, _ body: (PostgresConnection) async throws -> Void) async throws {
    let connection = try await PostgresConnection.connect(
      try PostgresConfiguration(url: Secret(url), applicationName: "sluice dev"))
    do {
      try await body(connection)
      await connection.close()
    } catch {
      await connection.close()
      throw error
    }
  }

  private func work(_ servers: DevServers) async throws {
    let variables = variables(servers)
    let processes = try DevProcesses(
      directory: directory,
      environment: variables.merging(childSettings) { $1 },
      logger: logger, onChange: { try await writeFacts(servers, $0) })
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          try await processes.run(workers: workers) {
            if isDemo { try await register(servers, variables) }
            try await announce(servers, variables, processes)
          }
        }
        group.addTask {
          try await servers.keepAlive(logger) { try await writeFacts(servers, await processes.pids) }
        }
        _ = try await group.next()
        group.cancelAll()
      }
      await processes.stop()
    } catch {
      await processes.stop()
      throw error
    }
  }

  /// A short lease, because on one machine a worker that was killed is to be noticed while somebody watches.
  private var childSettings: [String: String] {
    [
      SettingKey.logLevel.variable: logLevel, SettingKey.logFormat.variable: "text",
      SettingKey.leaseTTL.variable: "5s",
    ]
  }

  /// Registers the instance as `sluice connection register` does, unless an earlier run has.
  private func register(_ servers: DevServers, _ variables: [String: String]) async throws {
    let settings = try Settings(sources: SettingSources(flags: [:], environment: variables, file: [:]))
    let metadata = MetadataDatabase(configuration: try settings.metadataConfiguration(), connections: 2)
    do {
      let known = try await metadata.read { try await $0.connections() }
      if !known.contains(where: { $0.name == Self.demoConnection }) {
        var draft = Connection(
          name: Self.demoConnection, kind: .lakebase, host: servers.instance.databaseHost,
          database: Bootstrap.database, username: DevServers.clientID)
        draft.port = servers.workspace.gatewayPort
        draft.workspaceURL = servers.workspace.workspaceURL
        draft.instance = .named(servers.instance.name)
        try await ConnectionRegistration(
          draft: draft, secret: try directory.secret(of: DevServers.clientID), metadata: metadata,
          settings: settings, output: Output(form: .table)
        ).run(dryRun: false, force: false)
      }
      await metadata.shutDown()
    } catch {
      await metadata.shutDown()
      throw error
    }
  }

  /// What other terminals and the child processes need.
  private func variables(_ servers: DevServers) -> [String: String] {
    [
      SettingKey.metadataURL.variable: servers.metadata.url(database: Self.metadataDatabase),
      SettingKey.redisURL.variable: servers.redis.url, SettingKey.secretKeyFile.variable: directory.keyFile,
      SettingKey.caFile.variable: servers.workspace.caFile,
    ]
  }

  private func writeFacts(_ servers: DevServers, _ children: [String: Int32]) async throws {
    // Not before everything is ready: the file is the sign that it is.
    guard FileManager.default.fileExists(atPath: directory.environmentFile) else { return }
    try await DevFacts(
      servers: servers, directory: directory, connection: isDemo ? Self.demoConnection : nil, children: children,
      workers: workers
    ).write(to: directory.factsFile)
  }

  /// Says where everything is, on standard output and in the files that scripts read.
  private func announce(
    _ servers: DevServers, _ variables: [String: String], _ processes: DevProcesses
  ) async throws {
    let lines = variables.sorted { $0.key < $1.key }.map { "export \($0.key)=\(Self.quoted($0.value))" }
    try PrivateFile.replace(directory.environmentFile, text: lines.joined(separator: "\n") + "\n")
    try await writeFacts(servers, await processes.pids)
    let places = [
      ("workspace", servers.workspace.workspaceURL),
      ("gateway", "\(servers.instance.databaseHost):\(servers.workspace.gatewayPort)/\(Bootstrap.database)"),
      ("redis", servers.redis.url), ("logs", directory.logs), ("facts", directory.factsFile),
    ]
    let text =
      ["", "sluice dev is ready; Ctrl-C stops it.", ""]
      + places.map { "  \($0.0.padding(toLength: 10, withPad: " ", startingAt: 0)) \($0.1)" }
      + ["", "In other terminals:", ""] + lines.map { "  \($0)" } + (isDemo ? [] : registration(servers))
    try Output.standardOutput(text.joined(separator: "\n") + "\n")
  }

  private func registration(_ servers: DevServers) -> [String] {
    [
      "", "Register the instance with:", "",
      "  sluice connection register prod --host \(servers.instance.databaseHost) "
        + "--port \(servers.workspace.gatewayPort) --database \(Bootstrap.database) --instance \(servers.instance.name) "
        + "--workspace-url \(servers.workspace.workspaceURL) --client-id \(DevServers.clientID) "
        + "--client-secret-file \(Self.quoted(directory.secretFile(of: DevServers.clientID)))",
    ]
  }

  /// For a POSIX shell.
  private static func quoted(_ text: String) -> String { "'\(text.replacing("'", with: #"'\''"#))'" }
}
