/// What went wrong between us and Redis.
package struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: Sendable, Hashable {
    /// The settings cannot work as they are; a retry does not help.
    case configuration
    /// No connection, or it broke before the reply came: the command may or may not have run. A retry may help.
    case unavailable
    /// No reply before the deadline: the command may or may not have run.
    case timedOut
    /// The calling task was cancelled: the command may or may not have run.
    case cancelled
    /// Redis answered with an error; `prefix` is its first word, such as `NOSCRIPT`.
    case server(prefix: String)
    /// The peer does not speak the Redis protocol, or a reply breaks a limit or has another shape than asked for.
    case protocolViolation
    /// More commands at a time than `RedisConfiguration.Limits` allows; nothing was sent.
    case overloaded
    /// The client was closed; nothing was sent.
    case closed
  }

  package let code: Code
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { "Redis: \(message)" }
}

/// An error reply of the server. It is a value, because in a pipeline one command may fail and the next succeed.
package struct RedisServerError: Sendable, Hashable {
  /// The first word: `ERR`, `NOSCRIPT`, `WRONGTYPE`.
  package let prefix: String
  package let text: String

  /// Redis repeats the arguments of an unknown command; they are cut off, since they may be secrets.
  package init(line: String) {
    prefix = Self.prefix(of: line)
    let arguments = ", with args beginning with:"
    text = line.firstRange(of: arguments).map { String(line[..<$0.lowerBound]) } ?? line
  }

  /// Redis before 7 packs the error of a command that a script calls into one of its own.
  private static func prefix(of line: String) -> String {
    let inner = line.hasPrefix("ERR Error running script") ? line.firstRange(of: ": -")?.upperBound : nil
    return String(line[(inner ?? line.startIndex)...].prefix { $0 != " " })
  }

  /// The server is a replica, has been made one, still loads its data, or has too few replicas left to take a write
  /// (`min-replicas-to-write`), as when it was cut off and another has become the primary.
  var isNotFromPrimary: Bool { ["READONLY", "MASTERDOWN", "LOADING", "NOREPLICAS", "UNBLOCKED"].contains(prefix) }

  package var asError: RedisError { RedisError(.server(prefix: prefix), "the server refused: \(text)") }
}
