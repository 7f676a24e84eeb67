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
      let call = RedisScriptCall(increment, keys: ["a"], arguments: ["1"])
      #expect(try await client.eval([call, call]) == [.integer(2), .integer(3)])
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

  @Test func serverWithAppendOnlyFileIsFine() async throws {
    try await PrivateRedis.run(["--appendonly", "yes"]) { redis async throws in
      let findings = try await redis.client().checkServer()
      #expect(findings.warnings.isEmpty)
    }
  }
}
