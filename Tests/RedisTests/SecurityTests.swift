import Logging
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SecurityTests {
  @Test func passwordLogsIn() async throws {
    try await PrivateRedis.run(["--requirepass", "hunter2"]) { redis async throws in
      var configuration = redis.configuration
      configuration.password = Secret("hunter2")
      #expect(try await client(configuration).send(["PING"]) == .status("PONG"))
    }
  }

  @Test func wrongPasswordIsRefusedWithoutRepeatingIt() async throws {
    try await PrivateRedis.run(["--requirepass", "right"]) { redis async throws in
      var configuration = redis.configuration
      configuration.password = Secret("hunter2")
      let error = await #expect(throws: RedisError.self) { try await client(configuration).send(["PING"]) }
      #expect(error?.code == .server(prefix: "WRONGPASS"))
      #expect(error?.description.contains("hunter2") == false)
    }
  }

  @Test func userOfAnAccessListLogsIn() async throws {
    try await PrivateRedis.run(["--user", "ana", "on", ">secret", "~*", "+@all"]) { redis async throws in
      var configuration = redis.configuration
      (configuration.user, configuration.password) = ("ana", Secret("secret"))
      #expect(try await client(configuration).send(["ACL", "WHOAMI"]).text == "ana")
    }
  }

  private func client(_ configuration: RedisConfiguration) -> RedisClient {
    RedisClient(configuration: configuration, logger: Logger(label: "test"))
  }
}
