import Logging
import Platform
import Redis
import RedisTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ClientTests {
  @Test func eachCommandGetsItsOwnReply() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      let replies = try await withThrowingTaskGroup(of: (Int, String?).self) { group in
        for number in 0..<500 { group.addTask { (number, try await client.send(["ECHO", String(number)]).text) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
      }
      #expect(replies == Dictionary(uniqueKeysWithValues: (0..<500).map { ($0, String($0)) }))
      #expect(try await connections(client) == 1)
    }
  }

  @Test func everyKindOfReplyIsRead() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      let script = "return {1, 'two', false, {3, {'four'}}, redis.status_reply('FINE'), redis.error_reply('ODD one')}"
      let value = try await client.send(["EVAL", script, "0"])
      let inner = RedisValue.array([.integer(3), .array([.string(Array("four".utf8))])])
      let odd = RedisValue.error(RedisServerError(line: "ODD one"))
      #expect(value == .array([.integer(1), .string(Array("two".utf8)), .null, inner, .status("FINE"), odd]))
    }
  }

  @Test func errorReplyInAPipelineLeavesTheOthersAlone() async throws {
    try await PrivateRedis.run { redis async throws in
      let replies = try await redis.client().pipeline([["SET", "a", "1"], ["INCRBY", "a", "x"], ["GET", "a"]])
      #expect(replies[0] == .status("OK"))
      #expect(throws: RedisError.self) { try replies[1].orThrow() }
      #expect(replies[2].integer == 1)
    }
  }

  @Test func binaryTextSurvives() async throws {
    try await PrivateRedis.run { redis async throws in
      let text = "nul \0, newline \r\n, ünïcode 🐘"
      #expect(try await redis.client().send(["ECHO", text]).text == text)
    }
  }

  @Test func unknownCommandDoesNotRepeatItsArguments() async throws {
    try await PrivateRedis.run { redis async throws in
      let error = await #expect(throws: RedisError.self) { try await redis.client().send(["NOPE", "hunter2"]) }
      #expect(error?.code == .server(prefix: "ERR"))
      #expect(error?.description.contains("hunter2") == false)
    }
  }

  @Test func cancelledCallerGoesOnAtOnceAndTheConnectionStays() async throws {
    try await PrivateRedis.run { redis async throws in
      let (client, other) = (redis.client(), redis.client())
      _ = try await client.send(["PING"])
      let blocked = Task { try await client.send(["BLPOP", "nothing", "10"]) }
      try await until { try await blockedClients(other) == 1 }
      blocked.cancel()
      let error = await #expect(throws: RedisError.self) { try await blocked.value }
      #expect(error?.code == .cancelled)
      _ = try await other.send(["LPUSH", "nothing", "late"])
      #expect(try await client.send(["ECHO", "mine"]).text == "mine")
    }
  }

  @Test func tooManyCommandsAreRefusedBeforeTheyAreSent() async throws {
    try await PrivateRedis.run { redis async throws in
      var configuration = redis.configuration
      configuration.limits.commandsInFlight = 2
      let client = RedisClient(configuration: configuration, logger: Logger(label: "test"))
      let error = await #expect(throws: RedisError.self) {
        try await client.pipeline([["SET", "a", "1"], ["SET", "a", "2"], ["SET", "a", "3"]])
      }
      #expect(error?.code == .overloaded)
      #expect(try await client.send(["GET", "a"]) == .null)
    }
  }

  @Test func longReplyClosesTheConnection() async throws {
    try await PrivateRedis.run { redis async throws in
      var configuration = redis.configuration
      configuration.limits.replyBytes = 1 << 20
      let client = RedisClient(configuration: configuration, logger: Logger(label: "test"))
      let error = await #expect(throws: RedisError.self) {
        try await client.send(["EVAL", "return string.rep('x', 10000000)", "0"])
      }
      #expect(error?.code == .protocolViolation)
      #expect(try await client.send(["PING"]) == .status("PONG"))
    }
  }

  @Test func replyNestedTooDeepIsRefused() async throws {
    try await PrivateRedis.run { redis async throws in
      let error = await #expect(throws: RedisError.self) {
        try await redis.client().send(["EVAL", "return {{{{{{{{{{1}}}}}}}}}}", "0"])
      }
      #expect(error?.code == .protocolViolation)
    }
  }

  @Test func databaseOfTheURLIsSelected() async throws {
    try await PrivateRedis.run { redis async throws in
      var configuration = redis.configuration
      configuration.database = 5
      let client = RedisClient(configuration: configuration, logger: Logger(label: "test"))
      _ = try await client.send(["SET", "a", "1"])
      #expect(try await redis.client().send(["EXISTS", "a"]).integer == 0)
    }
  }

  @Test func closedClientRefuses() async throws {
    try await PrivateRedis.run { redis async throws in
      let client = redis.client()
      _ = try await client.send(["PING"])
      await client.close()
      let error = await #expect(throws: RedisError.self) { try await client.send(["PING"]) }
      #expect(error?.code == .closed)
    }
  }
}

func connections(_ client: RedisClient) async throws -> Int {
  try await client.send(["CLIENT", "LIST", "TYPE", "normal"]).requireText().split(separator: "\n").count
}

func blockedClients(_ client: RedisClient) async throws -> Int {
  try await client.send(["INFO", "clients"]).requireText().split(whereSeparator: \.isNewline)
    .first { $0.hasPrefix("blocked_clients:") }.flatMap { Int($0.dropFirst("blocked_clients:".count)) } ?? 0
}

/// Asks again until it is so; the suite's time limit ends it.
func until(_ isSo: () async throws -> Bool) async throws { while try await !isSo() { await Task.yield() } }
