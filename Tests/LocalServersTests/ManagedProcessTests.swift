import Foundation
import Glibc
import LocalServers
import Platform
import Testing

@Suite struct ManagedProcessTests {
  @Test func exitStatusIsReported() async throws {
    let process = try await ManagedProcess.start(Launch("sh", ["-c", "exit 7"]))
    #expect(await process.waitForExit() == .exited(7))
    #expect(!process.isRunning)
  }

  @Test func everyWaiterIsTold() async throws {
    let process = try await ManagedProcess.start(Launch("sleep", ["60"]))
    async let first = process.waitForExit()
    async let second = process.waitForExit()
    try process.signal(SIGKILL)
    #expect(await first == .signalled(SIGKILL))
    #expect(await second == .signalled(SIGKILL))
  }

  @Test func deadlineEndsTheWaitAndNotTheProcess() async throws {
    let process = try await ManagedProcess.start(Launch("sleep", ["60"]))
    #expect(await process.waitForExit(until: .after(.milliseconds(20))) == nil)
    #expect(process.isRunning)
    await process.stop(signal: SIGKILL)
  }

  @Test func stopKillsWhatIgnoresTheSignal() async throws {
    try await withScratch { path in
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      let ready = "\(path)/ready"
      let stubborn = "trap '' TERM; echo > \(ready); while :; do sleep 1; done"
      let process = try await ManagedProcess.start(Launch("sh", ["-c", stubborn]))
      #expect(try await eventually { FileManager.default.fileExists(atPath: ready) })
      #expect(await process.stop(grace: .milliseconds(100)) == .signalled(SIGKILL))
    }
  }

  @Test func stopIsOrderlyInACancelledTask() async throws {
    let process = try await ManagedProcess.start(Launch("sleep", ["60"]))
    let stopping = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return await process.stop(signal: SIGTERM, grace: .seconds(10))
    }
    #expect(await stopping.value == .signalled(SIGTERM))
  }

  @Test func signalAfterTheEndIsRefused() async throws {
    let process = try await ManagedProcess.start(Launch("true"))
    _ = await process.waitForExit()
    #expect(throws: LocalServersError.self) { try process.signal(SIGTERM) }
  }

  @Test func ignoredSignalsAreNotInherited() async throws {
    signal(SIGPIPE, SIG_IGN)
    let process = try await ManagedProcess.start(Launch("sh", ["-c", "kill -PIPE $$; exit 0"]))
    #expect(await process.waitForExit() == .signalled(SIGPIPE))
  }

  @Test func processGroupIsItsOwn() async throws {
    let process = try await ManagedProcess.start(Launch("sleep", ["60"]))
    #expect(getpgid(process.pid) == process.pid)
    await process.stop(signal: SIGKILL)
  }

  @Test func unknownProgramNamesTheRemedy() async throws {
    await #expect {
      _ = try await ManagedProcess.start(Launch("no-such-program-here"))
    } throws: { error in
      "\(error)".contains("no-such-program-here") && "\(error)".contains("ops/setup")
    }
  }

  @Test func descriptorsAreNotPassedOn() async throws {
    let descriptor = open("/dev/zero", O_RDONLY)
    defer { close(descriptor) }
    let run = try await ToolRun.run(Launch("sh", ["-c", "ls -l /proc/$$/fd"]), deadline: .after(.seconds(10)))
    #expect(!run.output.contains("/dev/zero"))
  }
}
