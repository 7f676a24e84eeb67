import Foundation
import Glibc
import LocalServers
import Platform
import Testing

@Suite struct PrivatePostgresTests {
  @Test func answersAtItsURL() async throws {
    try await withPostgres { server in
      let answer = try await query(server, "SHOW server_encoding")
      #expect(answer == "UTF8")
    }
  }

  @Test func listensOnNothingButItsSocket() async throws {
    try await withPostgres { server in
      let answer = try await query(server, "SHOW listen_addresses")
      #expect(answer == "")
      var information = stat()
      #expect(stat(server.socketDirectory, &information) == 0)
      #expect(information.st_mode & 0o777 == 0o700)
    }
  }

  @Test func settingsReachTheServer() async throws {
    try await withPostgres(settings: ["work_mem": "12MB"]) { server in
      let answer = try await query(server, "SHOW work_mem")
      #expect(answer == "12MB")
    }
  }

  @Test func neverRunsAsRoot() async throws {
    try await withPostgres { server in
      let pid = try #require(await server.pid)
      #expect(try owner(of: pid) != 0)
    }
  }

  @Test func restartKeepsTheData() async throws {
    try await withPostgres { server in
      _ = try await query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
      try await server.restart()
      let answer = try await query(server, "SELECT answer FROM kept")
      #expect(answer == "42")
    }
  }

  @Test func startsAfterACrash() async throws {
    try await withPostgres { server in
      _ = try await query(server, "CREATE TABLE kept AS SELECT 42 AS answer")
      try await server.kill()
      #expect(await server.pid == nil)
      try await server.start()
      let answer = try await query(server, "SELECT answer FROM kept")
      #expect(answer == "42")
    }
  }

  @Test func foreignPidInThePidFileIsNotBelieved() async throws {
    try await withPostgres { server in
      try await server.kill()
      let path = "\(server.options.directory)/data/postmaster.pid"
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropFirst()
      let stranger = try await ManagedProcess.start(Launch("sleep", ["60"], user: try UnprivilegedUser.choose()))
      try (["\(stranger.pid)"] + lines.map(String.init)).joined(separator: "\n")
        .write(toFile: path, atomically: false, encoding: .utf8)
      try await server.start()
      let answer = try await query(server, "SELECT 1")
      #expect(answer == "1")
      await stranger.stop(signal: SIGKILL)
    }
  }

  @Test func suspendedServerGoesOnWhenResumed() async throws {
    try await withPostgres { server in
      try await server.suspend()
      async let answer = query(server, "SELECT 1")
      try await server.resume()
      let value = try await answer
      #expect(value == "1")
    }
  }

  @Test func unknownSettingFailsWithTheLog() async throws {
    await #expect {
      try await withPostgres(settings: ["no_such_setting": "1"]) { _ in }
    } throws: { error in
      (error as? LocalServersError)?.code == .endedEarly && "\(error)".contains("no_such_setting")
    }
  }

  @Test func tooLongDirectoryIsRefusedWithARemedy() async throws {
    let installation = try await PostgresInstallation.find()
    let directory = "/tmp/" + String(repeating: "d", count: 100)
    await #expect {
      _ = try await PrivatePostgres.start(.init(directory: directory, installation: installation))
    } throws: { error in
      (error as? LocalServersError)?.code == .unusableDirectory && "\(error)".contains("shorter")
    }
  }

  @Test(.enabled(if: geteuid() == 0, "only root changes the user")) func closedParentIsNamed() async throws {
    try await withScratch { path in
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let installation = try await PostgresInstallation.find()
      await #expect {
        _ = try await PrivatePostgres.start(.init(directory: "\(path)/server", installation: installation))
      } throws: { error in
        "\(error)".contains("may not enter \(path)")
      }
    }
  }

  @Test func installationsAreNewestFirst() async throws {
    let versions = await PostgresInstallation.all().map(\.version)
    #expect(versions == versions.sorted(by: >))
    #expect(try await PostgresInstallation.find(atLeast: 16).version >= 16)
  }

  @Test func missingVersionNamesTheRemedy() async throws {
    await #expect {
      _ = try await PostgresInstallation.find(atLeast: 99)
    } throws: { error in
      "\(error)".contains("ops/setup")
    }
  }
}
