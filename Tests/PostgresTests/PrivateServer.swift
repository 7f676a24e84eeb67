import Foundation
import Platform
import Testing

@testable import Postgres

/// A PostgreSQL server of the tests' own: in a new directory under the temporary one, on a random loopback port.
struct PrivateServer: Sendable {
  @TaskLocal static var current: PrivateServer?

  static let password = Secret("correct horse")
  let directory: String
  let port: Int
  private let process: Process

  /// The server of the suite that the test runs in.
  static var running: PrivateServer {
    get throws { try #require(current, "the test belongs into a suite with the trait .privateServer") }
  }

  func configuration(database: String = "postgres") -> PostgresConfiguration {
    PostgresConfiguration(
      host: "127.0.0.1", port: port, database: database, user: "postgres", password: Self.password)
  }

  func connect(database: String = "postgres") async throws -> PostgresConnection {
    try await PostgresConnection.connect(configuration(database: database))
  }

  /// Makes an empty database, which goes with the server.
  func newDatabase() async throws -> PostgresConfiguration {
    let name = "test_\(UInt64.random(in: .min ... .max))"
    try await connect().execute("CREATE DATABASE \(name)")
    return configuration(database: name)
  }
}

// Starting and stopping.
extension PrivateServer {
  static func start() async throws -> PrivateServer {
    let directory = "/tmp/sluice-postgres-tests-\(UInt32.random(in: .min ... .max))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    try password.reveal().write(toFile: "\(directory)/password", atomically: true, encoding: .utf8)
    try Certificates.make(in: directory)
    if geteuid() == 0 { try run(["chown", "-R", "postgres:postgres", directory]) }
    try run(
      command("initdb") + [
        "-D", "\(directory)/data", "-U", "postgres", "--auth=scram-sha-256", "--pwfile=\(directory)/password",
        "-E", "UTF8", "--no-locale", "--no-sync",
      ])
    let port = try freePort()
    let process = try launch(command("postgres") + ["-D", "\(directory)/data"] + options(directory, port))
    let server = PrivateServer(directory: directory, port: port, process: process)
    try await server.answers()
    return server
  }

  func stop() throws {
    process.interrupt()  // A fast shutdown.
    process.waitUntilExit()
    try FileManager.default.removeItem(atPath: directory)
  }

  private func answers() async throws {
    let limit = Deadline.after(.seconds(60))
    while true {
      do {
        return await (try connect()).close()
      } catch {
        try #require(process.isRunning && !limit.hasPassed, "the server did not start: \(error)")
        // no event: a server cannot be asked to tell when it is ready
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  private static func options(_ directory: String, _ port: Int) -> [String] {
    let settings = [
      "fsync=off", "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=\(directory)", "ssl=on",
      "ssl_cert_file=\(directory)/server.crt", "ssl_key_file=\(directory)/server.key", "max_connections=100",
    ]
    return settings.flatMap { ["-c", $0] }
  }

  private static var programDirectory: String {
    let candidates = [
      ProcessInfo.processInfo.environment["SLUICE_POSTGRES_BIN"], "/opt/sluice/postgresql-17/bin",
      "/usr/lib/postgresql/15/bin",
    ]
    return candidates.compactMap(\.self).first { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") } ?? ""
  }

  /// PostgreSQL refuses to run as root.
  private static func command(_ name: String) -> [String] {
    let asPostgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    return (geteuid() == 0 ? asPostgres : []) + ["\(programDirectory)/\(name)"]
  }

  static func run(_ command: [String]) throws {
    let process = try launch(command)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(command.joined(separator: " ")) failed")
  }

  private static func launch(_ command: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.currentDirectoryURL = URL(fileURLWithPath: "/tmp")
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    return process
  }

  private static func freePort() throws -> Int {
    let listener = try SilentListener()
    return listener.port
  }
}

/// A port that takes connections and never says a word.
final class SilentListener: Sendable {
  let port: Int
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    port = Int(UInt16(bigEndian: address.sin_port))
    try #require(bound && listen(descriptor, 5) == 0)
  }

  deinit { close(descriptor) }
}

/// A private authority, a server certificate for `database.test`, and an authority that has signed nothing.
enum Certificates {
  static let host = "database.test"

  static func make(in directory: String) throws {
    for name in ["ca", "stranger"] {
      try openssl([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=\(name)",
        "-keyout", "\(directory)/\(name).key", "-out", "\(directory)/\(name).crt",
      ])
    }
    try openssl([
      "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=\(host)", "-addext", "subjectAltName=DNS:\(host)",
      "-keyout", "\(directory)/server.key", "-out", "\(directory)/server.csr",
    ])
    try openssl([
      "x509", "-req", "-in", "\(directory)/server.csr", "-CA", "\(directory)/ca.crt", "-CAkey", "\(directory)/ca.key",
      "-CAcreateserial", "-days", "2", "-copy_extensions", "copy", "-out", "\(directory)/server.crt",
    ])
  }

  private static func openssl(_ arguments: [String]) throws { try PrivateServer.run(["openssl"] + arguments) }
}

/// Starts a private server for the whole suite.
struct PrivateServerTrait: SuiteTrait, TestScoping {
  func provideScope(for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void)
    async throws
  {
    let server = try await PrivateServer.start()
    do {
      try await PrivateServer.$current.withValue(server, operation: body)
    } catch {
      try server.stop()
      throw error
    }
    try server.stop()
  }
}

extension Trait where Self == PrivateServerTrait {
  static var privateServer: Self { Self() }
}

/// The integration tests: one server for all of them.
@Suite(.privateServer, .timeLimit(.minutes(2))) struct ServerTests {}
