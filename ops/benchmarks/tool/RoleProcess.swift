import Foundation
import LocalServers

/// This program, started again as a worker or a scheduler.
struct RoleProcess: Sendable {
  let process: ManagedProcess
  /// Where a worker notes what it starts.
  let trace: String?
  private let log: String

  static func start(_ role: String, _ arguments: [String], log: String, trace: String? = nil) async throws
    -> RoleProcess
  {
    let launch = Launch(
      try executable(), [role] + arguments, environment: Launch.bareEnvironment(), logFile: log, deathSignal: .kill)
    return RoleProcess(process: try await ManagedProcess.start(launch), trace: trace, log: log)
  }

  private static func executable() throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  }

  func stop() async { await process.stop() }

  func kill() async { await process.stop(signal: SIGKILL) }

  /// When each job was started, in nanoseconds of the machine's monotonic clock.
  func starts() throws -> [Int64: Int64] {
    guard let trace, FileManager.default.fileExists(atPath: trace) else { return [:] }
    var starts: [Int64: Int64] = [:]
    // The last line may still be under way.
    for line in try String(contentsOfFile: trace, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false
    )
    .dropLast() {
      let words = line.split(separator: " ")
      guard words.count == 2, let job = Int64(words[0]), let at = Int64(words[1]) else { continue }
      starts[job] = min(at, starts[job] ?? .max)
    }
    return starts
  }
}

/// Nanoseconds of the clock that all processes of this machine share.
func monotonicNanoseconds() -> Int64 {
  var now = timespec()
  clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
}
