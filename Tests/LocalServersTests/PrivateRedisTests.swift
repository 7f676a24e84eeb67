import Foundation
import Glibc
import LocalServers
import Platform
import Testing

@Suite struct PrivateRedisTests {
  @Test func listensOnLoopbackAndNeverEvicts() async throws {
    try await withRedis { server in
      let settings = try await server.command("CONFIG", "GET", "bind", "maxmemory-policy").split(separator: "\n")
      #expect(Set(settings) == ["bind", "127.0.0.1", "maxmemory-policy", "noeviction"])
      #expect(server.url == "redis://127.0.0.1:\(server.port)")
    }
  }

  @Test func restartKeepsTheDataAndThePort() async throws {
    try await withRedis { server in
      _ = try await server.command("SET", "kept", "42")
      let before = try #require(await server.pid)
      try await server.restart()
      #expect(await server.pid != before)
      let answer = try await server.command("GET", "kept")
      #expect(answer == "42")
    }
  }

  @Test func flushLosesEverything() async throws {
    try await withRedis { server in
      _ = try await server.command("SET", "lost", "42")
      try await server.flush()
      let answer = try await server.command("DBSIZE")
      #expect(answer == "0")
    }
  }

  @Test func killedServerRefusesCommandsUntilItIsStarted() async throws {
    try await withRedis { server in
      await server.kill()
      await #expect(throws: LocalServersError.self) { try await server.command("PING") }
      try await server.start()
      let answer = try await server.command("PING")
      #expect(answer == "PONG")
    }
  }

  @Test func takenPortFailsWithTheLog() async throws {
    try await withRedis { server in
      try await withScratch { path in
        await #expect {
          _ = try await PrivateRedis.start(.init(directory: path, port: server.port))
        } throws: { error in
          (error as? LocalServersError)?.code == .endedEarly && "\(error)".contains("Address already in use")
        }
      }
    }
  }

  @Test(.enabled(if: geteuid() == 0, "only root changes the user")) func doesNotRunAsRoot() async throws {
    try await withRedis { server in
      let pid = try #require(await server.pid)
      #expect(try owner(of: pid) != 0)
    }
  }
}
