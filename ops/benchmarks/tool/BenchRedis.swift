import Foundation
import JobQueue
import LocalServers
import Logging
import Platform
import Redis

/// A Redis of the case's own, and the queue in it.
struct BenchRedis: Sendable {
  let server: PrivateRedis
  let client: RedisClient
  let wakeClient: RedisClient
  let queue: LaneQueue

  /// With the settings that the product runs it with: append-only, synced every second.
  static func start(in directory: String) async throws -> BenchRedis {
    let server = try await PrivateRedis.start(.init(directory: directory, appendOnly: true))
    return BenchRedis(server: server)
  }

  private init(server: PrivateRedis) {
    self.server = server
    (client, wakeClient, queue) = Self.connect(port: server.port)
  }

  static func connect(port: Int) -> (RedisClient, RedisClient, LaneQueue) {
    let configuration = RedisConfiguration(host: "127.0.0.1", port: port)
    let clients = (0..<2).map { _ in
      RedisClient(configuration: configuration, logger: Logger(label: "sluice-bench.redis"))
    }
    var limits = LaneQueue.Configuration()
    // A case may put all its jobs into the lanes of one connection.
    limits.mostWaitingOfConnection = limits.mostWaiting
    return (clients[0], clients[1], LaneQueue(client: clients[0], wakeClient: clients[1], configuration: limits))
  }

  func stop() async {
    await client.close()
    await wakeClient.close()
    await server.stop()
  }

  /// What Redis says about itself at one instant.
  func meter() async throws -> RedisMeter {
    let sections = ["commandstats", "cpu", "memory", "clients"]
    var fields: [Substring: Substring] = [:]
    for reply in try await client.pipeline(sections.map { ["INFO", $0] }) {
      let lines = (reply.text ?? "").split(whereSeparator: \.isNewline)
      for line in lines {
        if let colon = line.firstIndex(of: ":") { fields[line[..<colon]] = line[line.index(after: colon)...] }
      }
    }
    return try RedisMeter(fields)
  }
}

/// Counters of Redis; those of two instants are compared.
struct RedisMeter: Sendable {
  /// Commands that clients of the queue send; those inside scripts are not among them.
  let commands: Double
  let scriptMicroseconds: Double
  /// User and system time of the server, its background saves not counted.
  let processorSeconds: Double
  /// What the data take, without buffers of clients and of the append-only file.
  let dataBytes: Double
  let blockedClients: Int

  init(_ fields: [Substring: Substring]) throws {
    func number(_ name: Substring) throws -> Double {
      guard let text = fields[name], let number = Double(text) else { throw BenchError("Redis tells no \(name)") }
      return number
    }
    func statistic(_ command: String, _ name: String) -> Double {
      let parts = (fields["cmdstat_\(command)"] ?? "").split(separator: ",")
      return parts.first { $0.hasPrefix(name + "=") }.flatMap { Double($0.dropFirst(name.count + 1)) } ?? 0
    }
    commands = ["evalsha", "blpop"].reduce(0) { $0 + statistic($1, "calls") }
    scriptMicroseconds = statistic("evalsha", "usec")
    processorSeconds = try number("used_cpu_user") + number("used_cpu_sys")
    dataBytes = try number("used_memory_dataset")
    blockedClients = Int(try number("blocked_clients"))
  }
}
