import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ScriptTests {
  let increment = RedisScript(name: "increment", source: "return redis.call('INCRBY', KEYS[1], ARGV[1])")

  @Test func scriptGetsKeysAndArguments() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      let first = try await client.eval(increment, keys: ["a"], arguments: ["2"])
      #expect(first == .integer(2))
      #expect(try await client.eval(increment, keys: ["a"], arguments: ["3"]) == .integer(5))
    }
  }

  @Test func serverThatForgotTheScriptRunsItOnce() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      _ = try await client.eval(increment, keys: ["a"], arguments: ["1"])
      _ = try await client.send(["SCRIPT", "FLUSH"])
      for count in Int64(2)...3 {
        #expect(try await client.eval(increment, keys: ["a"], arguments: ["1"]) == .integer(count))
      }
    }
  }

  @Test func scriptThatDoesNotCompileIsNamed() async throws {
    try await PrivateRedis.run { redis async throws in
      let error = await #expect(throws: RedisError.self) {
        try await redis.client().eval(RedisScript(name: "broken", source: "retrun"), keys: [], arguments: [])
      }
      #expect(error?.message.contains("script broken") == true)
    }
  }
}

@Suite(.timeLimit(.minutes(2)))
struct ServerCheckTests {
  @Test func evictingServerIsRefusedWithTheRemedy() async throws {
    try await PrivateRedis.run(["--maxmemory-policy", "allkeys-lru"]) { redis async throws in
      let error = await #expect(throws: RedisError.self) { try await redis.client().checkServer() }
      #expect(error?.code == .configuration)
      #expect(error?.message.contains("set maxmemory-policy to noeviction") == true)
    }
  }

  @Test func serverWithoutAppendOnlyFileIsWarnedOf() async throws {
    try await PrivateRedis.run { redis async throws in
      let findings = try await redis.client().checkServer()
      #expect(!findings.isAppendOnly)
      #expect(findings.warnings.contains { $0.contains("set appendonly to yes") })
    }
  }

  @Test func primaryThatMayBeCutOffFromItsReplicasIsWarnedOf() async throws {
    var options = WatchedRedis.Options.withoutSentinels
    options.replicas = 2
    try await WatchedRedis.run(options) { watched async throws in
      let client = watched.servers[0].client()
      try await until { try await client.send(["WAIT", "2", "1000"]).requireInteger() == 2 }
      let warnings = try await client.checkServer().warnings
      #expect(warnings.contains { $0.contains("set min-replicas-to-write to 1") })
      _ = try await client.send(["CONFIG", "SET", "min-replicas-to-write", "1"])
      #expect(try await client.checkServer().warnings.allSatisfy { !$0.contains("min-replicas-to-write") })
    }
  }

  @Test func serverWithAppendOnlyFileIsFine() async throws {
    try await PrivateRedis.run(["--appendonly", "yes"]) { redis async throws in
      let findings = try await redis.client().checkServer()
      #expect(findings.warnings.isEmpty)
    }
  }
}
