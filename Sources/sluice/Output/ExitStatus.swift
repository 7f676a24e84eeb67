/// The exit statuses of `sluice`; scripts rely on them.
enum ExitStatus: Int32, Sendable {
  case done = 0
  /// Refused or failed; the message says what, why and what to do.
  case failed = 1
  case notFound = 2
  /// Timed out waiting.
  case timedOut = 3
  case wrongUsage = 64
  /// The metadata database or Redis cannot be reached.
  case unreachable = 69
}

/// Why a command ends without its answer.
struct CommandFailure: Error, Sendable, CustomStringConvertible {
  let status: ExitStatus
  /// What happened, to what, and what to do about it.
  let description: String

  init(_ status: ExitStatus, _ description: String) {
    self.status = status
    self.description = description
  }

  static func refused(_ description: String) -> CommandFailure { CommandFailure(.failed, description) }
  static func notFound(_ description: String) -> CommandFailure { CommandFailure(.notFound, description) }
  static func wrongUsage(_ description: String) -> CommandFailure { CommandFailure(.wrongUsage, description) }
}
