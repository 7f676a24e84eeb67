import Foundation
import Glibc
import Logging
import Platform
import Redis
import Synchronization

/// A redis-server or Sentinel of a test's own: on a free loopback port, in a directory of its own, without persistence.
package final class PrivateRedis: Sendable {
  package let port: Int
  package let directory: String
  private let arguments: [String]
  /// The file that a Sentinel reads and writes; nil for a server.
  private let sentinelFile: String?
  private let process = Mutex<Process?>(nil)

  private init(arguments: [String], sentinel: String? = nil) throws {
    let directory = "/tmp/sluice-redis-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    self.directory = directory
    let port = try Self.freePort()
    self.port = port
    self.arguments = arguments.map { $0.replacing("%PORT%", with: String(port)) }
    sentinelFile = sentinel.map { _ in directory + "/sentinel.conf" }
    if let sentinel, let sentinelFile {
      try sentinel.replacing("%PORT%", with: String(port)).write(
        toFile: sentinelFile, atomically: true, encoding: .utf8)
    }
  }

  /// Starts a server for the length of `body`.
  package static func run<Value>(
    _ arguments: [String] = [], _ body: (PrivateRedis) async throws -> Value
  ) async throws -> Value {
    let redis = try await launch(arguments)
    do {
      let value = try await body(redis)
      try redis.remove()
      return value
    } catch {
      redis.stop()
      throw error
    }
  }

  /// Starts a server that lasts until `remove`; one that speaks TLS gets its port for `%PORT%`.
  package static func launch(_ arguments: [String] = []) async throws -> PrivateRedis {
    let redis = try PrivateRedis(arguments: arguments)
    try await redis.start()
    return redis
  }

  /// Starts a Sentinel with this configuration, in which `%PORT%` stands for its port.
  package static func launchSentinel(_ configuration: String) async throws -> PrivateRedis {
    let sentinel = try PrivateRedis(arguments: [], sentinel: configuration)
    try await sentinel.start()
    return sentinel
  }

  /// Kills the server and removes its files.
  package func remove() throws {
    stop()
    try FileManager.default.removeItem(atPath: directory)
  }

  /// Starts the server and waits until it listens.
  package func start() async throws {
    let server = Process()
    server.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
    let place = ["--bind", "127.0.0.1", "--dir", directory, "--logfile", directory + "/log"]
    server.arguments =
      if let sentinelFile { [sentinelFile, "--sentinel"] + place } else {
        ["--port", String(port)] + place + ["--save", "", "--appendonly", "no"] + arguments
      }
    server.standardOutput = FileHandle.nullDevice
    try server.run()
    process.withLock { $0 = server }
    let deadline = Deadline.after(.seconds(20))
    while !Self.listens(port) {
      guard server.isRunning, !deadline.hasPassed else {
        let log = FileManager.default.contents(atPath: directory + "/log") ?? Data()
        throw RedisError(.unavailable, "no server on port \(port): \(String(decoding: log, as: UTF8.self))")
      }
      // no event: redis-server does not tell when it listens
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Kills the server, as a crash would.
  package func stop() {
    let server = process.withLock { process in
      defer { process = nil }
      return process
    }
    guard let server else { return }
    kill(server.processIdentifier, SIGKILL)
    server.waitUntilExit()
  }

  /// Stops the server's process without ending it: connections stay open and nobody answers.
  package func freeze() { signal(SIGSTOP) }
  package func thaw() { signal(SIGCONT) }

  private func signal(_ number: Int32) {
    if let identifier = process.withLock({ $0?.processIdentifier }) { kill(identifier, number) }
  }

  package var endpoint: RedisEndpoint { RedisEndpoint(host: "127.0.0.1", port: port) }

  package var configuration: RedisConfiguration {
    var configuration = RedisConfiguration(host: "127.0.0.1", port: port)
    // The machine that runs the tests may be busy.
    configuration.connectTimeout = .seconds(20)
    configuration.commandTimeout = .seconds(20)
    return configuration
  }

  package func client() -> RedisClient { RedisClient(configuration: configuration, logger: Logger(label: "test")) }

  private static func freePort() throws -> Int {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { Glibc.close(socket) }
    var address = loopback(port: 0)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, length) == 0 && getsockname(socket, $0, &length) == 0
      }
    }
    guard bound else { throw RedisError(.unavailable, "no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  private static func listens(_ port: Int) -> Bool {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { Glibc.close(socket) }
    var address = loopback(port: port)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }

  private static func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }
}
