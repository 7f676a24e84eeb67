import Foundation
import LocalServers
import Platform
import Postgres
import Testing

/// A running `sluice dev --demo` of a suite's own, and the commands that other terminals would give.
final class DevCluster: Sendable {
  @TaskLocal static var current: DevCluster?

  /// Starting everything on a machine that is busy with the other tests.
  private static let startLimit: Duration = .seconds(90)
  private static let stopLimit: Duration = .seconds(45)
  static let commandLimit: Duration = .seconds(60)

  let directory: String
  private let process: ManagedProcess
  private let environment: [String: String]
  let facts: Facts

  struct Facts: Decodable, Sendable {
    struct Processes: Decodable, Sendable {
      let scheduler: Int32
      let workers: [Int32]
      let redis: Int32
      let postgres: Int32
    }
    let adminSocket: String
    let adminUser: String
    let database: String
    let caFile: String
    let host: String
    let port: Int
    let workspaceURL: String
    let instance: String
    let clientID: String
    let clientSecretFile: String
    let pids: Processes
  }

  private init(directory: String, process: ManagedProcess, environment: [String: String], facts: Facts) {
    self.directory = directory
    self.process = process
    self.environment = environment
    self.facts = facts
  }

  /// The built binary beside the test bundle.
  static var executable: String {
    URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("sluice").path
  }

  /// Starts one in `directory`, which may hold what an earlier one left.
  static func start(in directory: String) async throws -> DevCluster {
    let process = try await ManagedProcess.start(
      Launch(
        executable, ["dev", "--demo", "--workers", "2", "--state", "\(directory)/state"],
        logFile: "\(directory)/dev.log"))
    let deadline = Deadline.after(startLimit)
    let ready = "\(directory)/state/demo.json"
    while !FileManager.default.fileExists(atPath: ready) {
      guard process.isRunning, !deadline.hasPassed else {
        await process.stop()
        let log = FileManager.default.contents(atPath: "\(directory)/dev.log") ?? Data()
        throw CommandError("sluice dev did not become ready:\n\(String(decoding: log.suffix(4000), as: UTF8.self))")
      }
      // no event: the file of another process is what says that it is ready
      try await Task.sleep(for: .milliseconds(50))
    }
    let facts = try JSONDecoder().decode(Facts.self, from: try Data(contentsOf: URL(fileURLWithPath: ready)))
    return DevCluster(
      directory: directory, process: process, environment: try variables("\(directory)/state/env"), facts: facts)
  }

  func stop() async { await process.stop(grace: Self.stopLimit) }

  /// `export NAME='value'` a line.
  private static func variables(_ path: String) throws -> [String: String] {
    var variables = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
    for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
      let pair = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
      variables[String(pair[0])] = pair[1].trimmingCharacters(in: ["'"])
    }
    return variables
  }

  struct ServerPids: Decodable {
    let redis: Int32?
    let metadata: Int32?
  }

  /// As the facts say now; nil for one that does not run.
  func serverPids() throws -> ServerPids {
    struct Now: Decodable { let pids: ServerPids }
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/state/demo.json"))
    return try JSONDecoder().decode(Now.self, from: data).pids
  }

  func redisPort() throws -> Int {
    guard let url = environment["SLUICE_REDIS_URL"].flatMap(URL.init(string:)), let port = url.port else {
      throw CommandError("the environment of sluice dev names no Redis")
    }
    return port
  }

  /// Runs `sluice` with these words; `changes` to the environment are for this run alone.
  @discardableResult
  func sluice(_ words: String..., changes: [String: String] = [:]) async throws -> CommandRun {
    try await run(words, changes)
  }

  func run(_ words: [String], _ changes: [String: String] = [:]) async throws -> CommandRun {
    let launch = Launch(Self.executable, words, environment: environment.merging(changes) { $1 })
    let run = try await ToolRun.run(launch, deadline: .after(Self.commandLimit))
    return CommandRun(words: words, status: run.status, output: run.output)
  }

  /// What the target answers to its superuser, past the gateway: one value.
  func admin(_ sql: String) async throws -> String {
    var configuration = PostgresConfiguration(
      host: facts.adminSocket, database: facts.database, user: facts.adminUser)
    configuration.applicationName = "end-to-end tests"
    let connection = try await PostgresConnection.connect(configuration)
    do {
      let rows = try await connection.query("select (\(sql))::text as answer").rows
      await connection.close()
      return try rows.first?.optionalText("answer") ?? "null"
    } catch {
      await connection.close()
      throw error
    }
  }

  /// Whether a role may do something with a table of schema `demo`; false where there is no such role.
  func may(_ role: String, _ privilege: String, _ table: String) async throws -> Bool {
    try await admin(
      """
      select coalesce((select has_table_privilege(oid, 'demo."\(table)"', '\(privilege)') from pg_roles
        where rolname = '\(role)'), false)
      """) == "true"
  }
}

struct CommandError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// How a command ended and what it printed, both channels together.
struct CommandRun: Sendable, CustomStringConvertible {
  let words: [String]
  let status: LocalServers.ExitStatus
  let output: String

  var description: String { "sluice \(words.joined(separator: " ")): \(status)\n\(output)" }

  /// The answer of a command that was asked for JSON.
  func json<Value: Decodable>(_ type: Value.Type) throws -> Value {
    do { return try JSONDecoder().decode(type, from: Data(output.utf8)) } catch {
      throw CommandError("no \(type) in the answer of \(self)")
    }
  }
}

/// Gives a suite a cluster of its own, and stops it when the suite has ended.
struct DevClusterTrait: SuiteTrait, TestScoping {
  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    let directory = "/tmp/sluice-e2e-\(UUID().uuidString.prefix(8))"
    // The servers run as another user where this one is root.
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    let cluster = try await DevCluster.start(in: directory)
    do {
      try await DevCluster.$current.withValue(cluster) { try await function() }
      await cluster.stop()
    } catch {
      await cluster.stop()
      throw error
    }
    try FileManager.default.removeItem(atPath: directory)
  }
}

extension Trait where Self == DevClusterTrait {
  static var devCluster: DevClusterTrait { DevClusterTrait() }
}
