import Foundation
import Glibc
import Platform

/// One run of a small program, to its end, with what it printed.
package struct ToolRun: Sendable {
  package let status: ExitStatus
  /// Output and errors, as they came.
  package let output: String

  /// Runs `launch` and kills it when `deadline` passes. Its log file is replaced by a temporary one.
  package static func run(_ launch: Launch, deadline: Deadline) async throws -> ToolRun {
    let path = "\(NSTemporaryDirectory())/sluice-run-\(UUID().uuidString)"
    defer { unlink(path) }
    var captured = launch
    captured.logFile = path
    captured.deathSignal = .kill
    let process = try await ManagedProcess.start(captured)
    guard let status = await process.waitForExit(until: deadline) else {
      await process.stop(signal: SIGKILL)
      try Task.checkCancellation()
      throw LocalServersError(.timedOut, "\(launch.executable) did not end in time and was killed")
    }
    return ToolRun(status: status, output: String(decoding: try contents(of: path), as: UTF8.self))
  }

  private static func contents(of path: String) throws -> Data {
    FileManager.default.fileExists(atPath: path) ? try Data(contentsOf: URL(fileURLWithPath: path)) : Data()
  }
}
