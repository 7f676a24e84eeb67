/// Why a private server could not be started, reached or ended.
package struct LocalServersError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable, Hashable {
    /// No suitable PostgreSQL, Redis or tool is installed.
    case notInstalled
    /// The directory cannot be made, entered or written by the user that the server runs as.
    case unusableDirectory
    /// Another process works in the directory.
    case directoryInUse
    /// The system refused to start the executable.
    case cannotStart
    /// It started and ended before it was ready.
    case endedEarly
    /// It did not become ready, or did not end, in time.
    case timedOut
    /// It is not running, so it cannot be signalled.
    case notRunning
  }

  package let code: Code
  /// What happened, to what, and what to do about it.
  package let message: String
  /// The end of the server's own log, where there is one.
  package let logTail: String?

  package init(_ code: Code, _ message: String, logTail: String? = nil) {
    self.code = code
    self.message = message
    self.logTail = logTail
  }

  package var description: String {
    guard let logTail, !logTail.isEmpty else { return message }
    return "\(message)\nThe end of its log:\n\(logTail)"
  }
}
