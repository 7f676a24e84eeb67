import Logging
import NIOCore
import NIOPosix
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct OutageTests {
  @Test func lateReplyNeverAnswersTheNextCommand() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      _ = try await client.send(["PING"])
      redis.freeze()
      let error = await #expect(throws: RedisError.self) {
        try await client.send(["ECHO", "late"], deadline: .after(.milliseconds(100)))
      }
      redis.thaw()
      #expect(error?.code == .timedOut)
      #expect(try await client.send(["ECHO", "next"]).text == "next")
    }
  }

  @Test func commandBehindALateOneIsUnavailableNotTimedOut() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      _ = try await client.send(["PING"])
      redis.freeze()
      let late = Task { try await client.send(["ECHO", "late"], deadline: .after(.milliseconds(300))) }
      let behind = Task { try await client.send(["ECHO", "behind"], deadline: .after(.seconds(60))) }
      let lateError = await #expect(throws: RedisError.self) { try await late.value }
      let behindError = await #expect(throws: RedisError.self) { try await behind.value }
      redis.thaw()
      #expect(lateError?.code == .timedOut)
      #expect(behindError?.code == .unavailable)
    }
  }

  @Test func killedServerIsUnavailableAndARestartedOneIsFoundAgain() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      _ = try await client.send(["PING"])
      redis.stop()
      let error = await #expect(throws: RedisError.self) { try await client.send(["PING"]) }
      #expect(error?.code == .unavailable)
      try await redis.start()
      #expect(try await client.send(["PING"]) == .status("PONG"))
    }
  }

  @Test func commandInFlightFailsWhenTheServerDies() async throws {
    try await PrivateRedis.run { redis async throws in
      let (client, other) = (redis.client(), redis.client())
      let blocked = Task { try await client.send(["BLPOP", "nothing", "30"], deadline: .after(.seconds(60))) }
      try await until { try await blockedClients(other) == 1 }
      redis.stop()
      let error = await #expect(throws: RedisError.self) { try await blocked.value }
      #expect(error?.code == .unavailable)
    }
  }

  @Test func manyCommandsDuringAnOutageMakeOneAttemptAtATime() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      redis.stop()
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<50 {
          group.addTask {
            let error = await #expect(throws: RedisError.self) { try await client.send(["PING"]) }
            #expect(error?.code == .unavailable)
          }
        }
      }
      try await redis.start()
      _ = try await client.send(["PING"])
      #expect(try await connections(client) == 1)
    }
  }

  @Test func peerThatAcceptsAndStaysSilentTimesOut() async throws {
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    var configuration = RedisConfiguration(host: "127.0.0.1", port: try #require(listener.localAddress?.port))
    configuration.connectTimeout = .milliseconds(200)
    let client = RedisClient(configuration: configuration, logger: Logger(label: "test"))
    let error = await #expect(throws: RedisError.self) { try await client.send(["PING"]) }
    #expect(error?.code == .timedOut)
    try await listener.close()
  }

  @Test func waitForAConnectionEndsWithTheCommandsDeadline() async throws {
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    var configuration = RedisConfiguration(host: "127.0.0.1", port: try #require(listener.localAddress?.port))
    configuration.connectTimeout = .seconds(60)
    let client = RedisClient(configuration: configuration, logger: Logger(label: "test"))
    let error = await #expect(throws: RedisError.self) {
      try await client.send(["PING"], deadline: .after(.milliseconds(200)))
    }
    #expect(error?.code == .timedOut)
    await client.close()
    try await listener.close()
  }
}
