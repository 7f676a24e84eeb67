import Foundation
import Glibc
import LocalServers
import Testing

/// The exit test's body is a process of its own: it starts servers and is killed without any chance to stop them.
@Suite struct KilledParentTests {
  @Test func nothingOutlivesAKilledParent() async throws {
    try await withScratch { path in
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
        let redis = try await PrivateRedis.start(.init(directory: "\(path)/redis"))
        let postgres = try await PrivatePostgres.start(
          .init(directory: "\(path)/postgres", installation: try await PostgresInstallation.find(), durable: false))
        let pids = [try #require(await redis.pid), try #require(await postgres.pid)]
        try pids.map(String.init).joined(separator: "\n").write(
          toFile: "\(path)/pids", atomically: true, encoding: .utf8)
        kill(getpid(), SIGKILL)
      }
      let pids = try String(contentsOfFile: "\(path)/pids", encoding: .utf8).split(separator: "\n").map { pid_t($0)! }
      #expect(pids.count == 2)
      #expect(try await eventually { !pids.contains(where: isAlive) })
    }
  }
}
