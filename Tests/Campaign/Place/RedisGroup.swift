import Foundation
import Glibc
import LocalServers
import Platform

/// One Redis, or a primary with its replica and three sentinels that watch them.
struct RedisGroup: Sendable {
  private static let master = "sluice"
  private static let sentinelCount = 3
  private static let syncLimit: Duration = .seconds(30)
  /// What `aof-…` files lie in, below the server's directory (Redis 7).
  private static let logDirectory = "appendonlydir"

  let nodes: [PrivateRedis]
  private let sentinels: [ManagedProcess]
  private let sentinelPorts: [Int]
  private let directory: String
  /// What `SLUICE_REDIS_URL` has to be.
  let url: String

  var isWatched: Bool { !sentinels.isEmpty }

  /// - Parameter address: where clients reach it; a private network's, or loopback.
  static func start(in directory: String, address: String, withSentinels: Bool) async throws -> RedisGroup {
    var nodes: [PrivateRedis] = []
    var sentinels: [ManagedProcess] = []
    do {
      for _ in 1...(withSentinels ? 2 : 1) {
        nodes.append(try await node(in: directory, address: address, port: try LoopbackPort.free()))
      }
      var group = RedisGroup(
        nodes: nodes, sentinels: [], sentinelPorts: [], directory: directory,
        url: "redis://\(address):\(nodes[0].port)")
      guard withSentinels else { return group }
      _ = try await nodes[1].command("REPLICAOF", address, "\(nodes[0].port)")
      let ports = try (1...sentinelCount).map { _ in try LoopbackPort.free() }
      for port in ports {
        sentinels.append(try await sentinel(in: directory, address: address, port: port, primary: nodes[0].port))
      }
      let places = ports.map { "\(address):\($0)" }.joined(separator: ",")
      group = RedisGroup(
        nodes: nodes, sentinels: sentinels, sentinelPorts: ports, directory: directory,
        url: "redis+sentinel://\(places)/\(master)")
      try await group.awaitWatch()
      return group
    } catch {
      for sentinel in sentinels { await sentinel.stop(signal: SIGKILL) }
      for node in nodes { await node.kill() }
      throw error
    }
  }

  private static func node(in directory: String, address: String, port: Int) async throws -> PrivateRedis {
    let settings =
      address.hasPrefix("127.")
      ? [:] : ["bind": "0.0.0.0", "protected-mode": "no", "replica-announce-ip": address]
    return try await PrivateRedis.start(
      .init(directory: "\(directory)/redis-\(port)", port: port, appendOnly: true, settings: settings))
  }

  private static func sentinel(
    in directory: String, address: String, port: Int, primary: Int
  ) async throws -> ManagedProcess {
    let home = "\(directory)/sentinel-\(port)"
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    let configuration = """
      port \(port)
      protected-mode no
      dir \(home)
      sentinel monitor \(master) \(address) \(primary) 2
      sentinel down-after-milliseconds \(master) 1000
      sentinel failover-timeout \(master) 3000
      sentinel announce-ip \(address)

      """
    try configuration.write(toFile: "\(home)/sentinel.conf", atomically: false, encoding: .utf8)
    return try await ManagedProcess.start(
      Launch(
        "redis-server", ["\(home)/sentinel.conf", "--sentinel"], environment: Launch.bareEnvironment(),
        logFile: "\(home)/sentinel.log"))
  }

  /// The replica has the primary's data, and every sentinel knows of both and of the others.
  private func awaitWatch() async throws {
    let isReady = try await holds(within: Self.syncLimit) {
      for port in sentinelPorts {
        let known = try await ask(port, "SENTINEL", "MASTER", Self.master)
        guard known.contains("num-slaves\n1"), known.contains("num-other-sentinels\n\(Self.sentinelCount - 1)") else {
          return false
        }
      }
      return try await hasReplica(nodes[0])
    }
    guard isReady else { throw CampaignError("the replica and the sentinels did not find each other") }
  }

  /// A replica is in step with it, so that it can be failed over.
  private func hasReplica(_ node: PrivateRedis) async throws -> Bool {
    try await node.command("INFO", "replication").contains("state=online")
  }

  /// The port of the primary, as most sentinels tell it; of the only node where there are none.
  func primaryPort() async throws -> Int {
    guard isWatched else { return nodes[0].port }
    var votes: [Int: Int] = [:]
    for port in sentinelPorts {
      let answer = try await ask(port, "SENTINEL", "get-master-addr-by-name", Self.master)
      if let place = answer.split(separator: "\n").last.flatMap({ Int($0) }) { votes[place, default: 0] += 1 }
    }
    guard let found = votes.max(by: { $0.value < $1.value }) else { throw CampaignError("no sentinel answers") }
    return found.key
  }

  /// The node that the sentinels name and that says itself that it is one, once the last failover is over.
  ///
  /// - Parameter withReplica: waits until a replica follows it, too.
  func primary(withReplica: Bool = false) async throws -> PrivateRedis {
    var found: PrivateRedis?
    _ = try await holds(within: Self.syncLimit) {
      let port = try await primaryPort()
      guard let node = nodes.first(where: { $0.port == port }) else { return false }
      // best effort: while it is being replaced it does not answer, and is asked again
      guard let role = try? await node.command("ROLE"), role.hasPrefix("master") else { return false }
      if withReplica, try await !hasReplica(node) { return false }
      found = node
      return true
    }
    guard let found else { throw CampaignError("no Redis became the primary in \(Self.syncLimit)") }
    return found
  }

  private func ask(_ port: Int, _ words: String...) async throws -> String {
    let run = try await ToolRun.run(
      Launch("redis-cli", ["-p", "\(port)"] + words, environment: Launch.bareEnvironment()),
      deadline: .after(.seconds(5)))
    return run.output.replacing("\r", with: "")
  }

  // MARK: what a node keeps over a restart

  /// Takes a copy of what every node has on disk now, for `restoreOld`.
  func rememberNow() async throws {
    for node in nodes { try await Self.copy(path(of: node), to: oldPath(of: node)) }
  }

  /// The server must not run.
  func forget(_ node: PrivateRedis) throws {
    let path = path(of: node)
    if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
  }

  /// The server must not run.
  func restoreOld(_ node: PrivateRedis) async throws {
    try forget(node)
    try await Self.copy(oldPath(of: node), to: path(of: node))
  }

  private func path(of node: PrivateRedis) -> String { "\(directory)/redis-\(node.port)/\(Self.logDirectory)" }

  private func oldPath(of node: PrivateRedis) -> String { "\(directory)/redis-\(node.port)-old" }

  /// Owners are kept: the server runs as another user where this one is root.
  private static func copy(_ source: String, to destination: String) async throws {
    let run = try await ToolRun.run(
      Launch("cp", ["-a", source, destination], environment: Launch.bareEnvironment()), deadline: .after(.seconds(10)))
    guard run.status.isSuccess else { throw CampaignError("cannot copy \(source): \(run.output)") }
  }

  func stop() async {
    for sentinel in sentinels { await sentinel.stop(signal: SIGKILL) }
    for node in nodes {
      // best effort: only a paused one needs it, so that it can end
      try? await node.resume()
      await node.stop()
    }
  }
}
