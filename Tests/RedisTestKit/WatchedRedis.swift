import Foundation
import Logging
import Platform
import Redis

/// A primary with replicas, and Sentinels that watch them, all of a test's own.
package struct WatchedRedis: Sendable {
  package static let name = "main"

  /// How the parts are set up.
  package struct Options: Sendable {
    package var replicas = 1
    package var sentinels = 3
    /// Of servers.
    package var password: String?
    /// Of Sentinels.
    package var sentinelPassword: String?
    package var authority: TestAuthority?

    package init() {}

    package static var withoutSentinels: Options {
      var options = Options()
      options.sentinels = 0
      return options
    }
  }

  package let options: Options
  /// The first is the primary in the beginning.
  package let servers: [PrivateRedis]
  package let sentinels: [PrivateRedis]

  package static func run(
    _ options: Options = Options(), _ body: (WatchedRedis) async throws -> Void
  ) async throws {
    var parts: [PrivateRedis] = []
    do {
      for number in 0...options.replicas {
        let primary = number == 0 ? [] : ["--replicaof", "127.0.0.1", String(parts[0].port)]
        parts.append(try await .launch(serverArguments(options) + primary))
      }
      let servers = parts
      for _ in 0..<options.sentinels { parts.append(try await launchSentinel(options, primary: servers[0].port)) }
      let watched = WatchedRedis(options: options, servers: servers, sentinels: Array(parts[servers.count...]))
      for sentinel in watched.sentinels { try await watched.awaitKnowledge(of: sentinel) }
      try await body(watched)
    } catch {
      for part in parts { part.stop() }
      throw error
    }
    for part in parts { try part.remove() }
  }

  /// A Sentinel that takes another server for the primary.
  package static func launchSentinel(_ options: Options, primary: Int) async throws -> PrivateRedis {
    let quorum = options.sentinels / 2 + 1
    var lines = [
      "sentinel monitor \(name) 127.0.0.1 \(primary) \(quorum)", "sentinel down-after-milliseconds \(name) 500",
      "sentinel failover-timeout \(name) 5000", "sentinel parallel-syncs \(name) 1",
    ]
    if let password = options.password { lines.append("sentinel auth-pass \(name) \(password)") }
    // Sentinels that ask for a password talk to each other with their own.
    if let password = options.sentinelPassword { lines.append("requirepass \(password)") }
    if let authority = options.authority {
      lines += authority.directives().map { $0.joined(separator: " ") }
    } else {
      lines.append("port %PORT%")
    }
    return try await .launchSentinel(lines.joined(separator: "\n") + "\n")
  }

  private static func serverArguments(_ options: Options) -> [String] {
    var arguments = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
    if let password = options.password { arguments += ["--requirepass", password, "--masterauth", password] }
    return arguments + (options.authority?.arguments() ?? [])
  }

  /// Sentinels are slow by default: each period here is a second or more. What they publish stays fast only until they
  /// know each other: they give a promoted server four such periods before they make it a replica again.
  private func awaitKnowledge(of sentinel: PrivateRedis) async throws {
    for period in ["ping-period", "ask-period", "info-period", "publish-period"] {
      _ = try ask(sentinel, ["SENTINEL", "DEBUG", period, "100"])
    }
    while true {
      let facts = try ask(sentinel, ["SENTINEL", "MASTER", Self.name]).split(whereSeparator: \.isNewline).map(
        String.init)
      let values = Dictionary(
        uniqueKeysWithValues: stride(from: 0, to: facts.count - 1, by: 2).map { (facts[$0], facts[$0 + 1]) })
      if values["num-slaves"] == String(options.replicas),
        values["num-other-sentinels"] == String(options.sentinels - 1)
      {
        _ = try ask(sentinel, ["SENTINEL", "DEBUG", "publish-period", "2000"])
        return
      }
      // no event: a Sentinel tells nobody when it has found the others
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}

extension WatchedRedis {
  /// What `redis-cli` prints for a command to one server or Sentinel.
  @discardableResult
  package func ask(_ part: PrivateRedis, _ words: [String]) throws -> String {
    let client = Process()
    client.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
    var arguments = ["-e", "-h", "127.0.0.1", "-p", String(part.port)]
    let isSentinel = sentinels.contains { $0.port == part.port }
    if let password = isSentinel ? options.sentinelPassword : options.password {
      arguments += ["--no-auth-warning", "-a", password]
    }
    if let authority = options.authority {
      let (certificate, key) = (authority.client.certificateFile, authority.client.keyFile)
      arguments += ["--tls", "--cacert", authority.caFile, "--cert", certificate, "--key", key]
    }
    client.arguments = arguments + words
    let pipe = Pipe()
    client.standardOutput = pipe
    try client.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    client.waitUntilExit()
    return String(decoding: output, as: UTF8.self)
  }

  /// The server that one of the Sentinels takes for the primary.
  package func primary(by sentinel: PrivateRedis) throws -> PrivateRedis? {
    let answer = try ask(sentinel, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self.name])
    let port = answer.split(whereSeparator: \.isNewline).last.flatMap { Int($0) }
    return servers.first { $0.port == port }
  }

  /// Cuts the last server, a replica, off from its primary: what is written from now on it does not get. It is stopped,
  /// and goes on with `thaw`.
  package func cutOffReplica() throws {
    servers[servers.count - 1].freeze()
    try ask(servers[0], ["CLIENT", "KILL", "TYPE", "replica"])
  }

  /// The way to the primary, by these Sentinels or all.
  package func configuration(by sentinels: [RedisEndpoint]? = nil) -> RedisConfiguration {
    let watchers = RedisSentinels(
      endpoints: sentinels ?? self.sentinels.map(\.endpoint), primary: Self.name,
      password: options.sentinelPassword.map { Secret($0) })
    var configuration = RedisConfiguration(
      .watched(watchers), password: options.password.map { Secret($0) }, tls: options.authority?.tls)
    // The machine that runs the tests may be busy.
    configuration.connectTimeout = .seconds(20)
    configuration.commandTimeout = .seconds(20)
    return configuration
  }

  package func client() -> RedisClient {
    RedisClient(configuration: configuration(), logger: Logger(label: "test"))
  }
}
