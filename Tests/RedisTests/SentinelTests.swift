import Logging
import Platform
import Redis
import RedisTestKit
import Testing

/// Real Sentinels in front of real servers.
@Suite(.timeLimit(.minutes(3)))
struct SentinelTests {
  @Test func clientFollowsAFailover() async throws {
    try await WatchedRedis.run { watched async throws in
      let client = watched.client()
      try await write("before", client)
      watched.servers[0].stop()
      try await write("after", client)
      #expect(try await port(client) == watched.servers[1].port)
      #expect(try await client.send(["GET", "before"]).text == "1")
    }
  }

  @Test func clientLeavesAPrimaryThatDoesNotAnswer() async throws {
    try await WatchedRedis.run { watched async throws in
      let client = watched.client()
      try await write("before", client)
      watched.servers[0].freeze()
      await #expect(throws: RedisError.self) {
        try await client.send(["PING"], deadline: .after(.milliseconds(200)))
      }
      try await write("after", client)
      watched.servers[0].thaw()
      #expect(try await port(client) == watched.servers[1].port)
    }
  }

  @Test func clientComesBackWithThePrimary() async throws {
    try await WatchedRedis.run { watched async throws in
      let client = watched.client()
      try await write("before", client)
      for expected in [1, 0] {
        // A Sentinel refuses until it has ended the one before and knows a good replica.
        try await until {
          try watched.ask(watched.sentinels[0], ["SENTINEL", "FAILOVER", WatchedRedis.name]).hasPrefix("OK")
        }
        try await until { try await isOn(watched.servers[expected], client) }
        try await write("after", client)
      }
    }
  }

  @Test func staleSentinelIsPassedOver() async throws {
    try await WatchedRedis.run { watched async throws in
      let liar = try await WatchedRedis.launchSentinel(watched.options, primary: watched.servers[1].port)
      // Which one is asked first is left to chance.
      for _ in 0..<12 {
        let configuration = watched.configuration(by: [liar.endpoint, watched.sentinels[0].endpoint])
        #expect(try await port(client(configuration)) == watched.servers[0].port)
      }
      let error = await #expect(throws: RedisError.self) {
        try await client(watched.configuration(by: [liar.endpoint])).send(["PING"])
      }
      #expect(error?.code == .unavailable)
      #expect(error?.message.contains("is no primary (role slave)") == true, "\(error?.message ?? "")")
      try liar.remove()
    }
  }

  @Test func sentinelsThatAreGoneOrSilentArePassedOver() async throws {
    try await WatchedRedis.run { watched async throws in
      watched.sentinels[0].stop()
      watched.sentinels[1].freeze()
      for _ in 0..<3 {
        #expect(try await port(client(watched.configuration())) == watched.servers[0].port)
      }
      watched.sentinels[1].thaw()
    }
  }

  @Test func noSentinelIsUnavailableInTime() async throws {
    try await WatchedRedis.run { watched async throws in
      watched.sentinels[0].freeze()
      for sentinel in watched.sentinels[1...] { sentinel.stop() }
      var configuration = watched.configuration()
      configuration.connectTimeout = .seconds(3)
      let began = ContinuousClock.now
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(began.duration(to: .now) < .seconds(10))
      #expect(error?.code == .unavailable)
      for sentinel in watched.sentinels { #expect(error?.message.contains("\(sentinel.endpoint)") == true) }
      watched.sentinels[0].thaw()
    }
  }

  @Test func unknownNameIsToldOf() async throws {
    try await WatchedRedis.run { watched async throws in
      let configuration = RedisConfiguration(
        .watched(RedisSentinels(endpoints: [watched.sentinels[0].endpoint], primary: "other")))
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(error?.message.contains("watches no primary of the name other") == true)
    }
  }

  @Test func sentinelsHaveAPasswordOfTheirOwn() async throws {
    var options = WatchedRedis.Options()
    (options.password, options.sentinelPassword) = ("of-redis", "of-sentinels")
    try await WatchedRedis.run(options) { watched async throws in
      #expect(try await port(watched.client()) == watched.servers[0].port)
      let error = await #expect(throws: RedisError.self) {
        try await client(withoutSentinelPassword(watched.configuration())).send(["PING"])
      }
      #expect(error?.code == .server(prefix: "WRONGPASS"))
      #expect(error?.description.contains("of-redis") == false)
    }
  }

  @Test func sentinelsWithThePasswordOfRedisNeedNoOther() async throws {
    var options = WatchedRedis.Options()
    (options.password, options.sentinelPassword) = ("same", "same")
    try await WatchedRedis.run(options) { watched async throws in
      let configuration = withoutSentinelPassword(watched.configuration())
      #expect(try await port(client(configuration)) == watched.servers[0].port)
    }
  }

  @Test func sentinelsAndServersSpeakTLS() async throws {
    try await TestAuthority.run { authority async throws in
      var options = WatchedRedis.Options()
      options.authority = authority
      try await WatchedRedis.run(options) { watched async throws in
        let client = watched.client()
        try await write("before", client)
        watched.servers[0].stop()
        try await write("after", client)
        #expect(try await port(client) == watched.servers[1].port)
      }
    }
  }

  @Test func replicaThatRefusesAWriteIsNotAskedAgain() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      let first = try await client.send(["CLIENT", "ID"]).requireInteger()
      _ = try await redis.client().send(["REPLICAOF", "127.0.0.1", "1"])
      let write = RedisScript(name: "write", source: "return redis.call('SET', KEYS[1], '1')")
      for attempt in 1...3 {
        let error = await #expect(throws: RedisError.self) {
          if attempt == 1 { return try await client.send(["SET", "a", "1"]) }
          return try await client.eval(write, keys: ["a"], arguments: [])
        }
        #expect(error?.code == .server(prefix: "READONLY"))
        #expect(try await client.send(["CLIENT", "ID"]).requireInteger() > first + Int64(attempt))
      }
    }
  }
}

extension SentinelTests {
  private func client(_ configuration: RedisConfiguration) -> RedisClient {
    RedisClient(configuration: configuration, logger: Logger(label: "test"))
  }

  private func withoutSentinelPassword(_ configuration: RedisConfiguration) -> RedisConfiguration {
    var changed = configuration
    guard case .watched(var sentinels) = configuration.place else { return changed }
    sentinels.password = nil
    changed.place = .watched(sentinels)
    return changed
  }

  /// Writes as soon as there is a server that takes it, and has it on a replica if there is one.
  private func write(_ key: String, _ client: RedisClient) async throws {
    while true {
      do throws(RedisError) {
        _ = try await client.send(["SET", key, "1"])
        _ = try await client.send(["WAIT", "1", "500"])
        return
      } catch {
        let isOutage = [.unavailable, .timedOut, .server(prefix: "READONLY")].contains(error.code)
        try #require(isOutage, "\(error)")
      }
    }
  }

  private func port(_ client: RedisClient) async throws -> Int? {
    let facts = try await client.send(["INFO", "server"]).requireText()
    return facts.split(whereSeparator: \.isNewline).first { $0.hasPrefix("tcp_port:") }.flatMap {
      Int($0.dropFirst("tcp_port:".count))
    }
  }

  private func isOn(_ server: PrivateRedis, _ client: RedisClient) async throws -> Bool {
    do {
      // The server may be demoted between the two, which cuts its clients off.
      _ = try await client.send(["SET", "probe", "1"])
      return try await port(client) == server.port
    } catch is RedisError {
      return false
    }
  }
}
