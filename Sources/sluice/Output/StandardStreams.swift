import Foundation

/// The three streams that a process is given, one or more of which may be closed, full, or read by nobody.
enum StandardStreams {
  /// Puts something in the place of closed streams, so that no socket ever gets the number of standard output and
  /// with it the answer of the command.
  static func reserveClosed() {
    // Opened for reading alone: writing to it fails and is told, as it should be.
    for number in STDIN_FILENO...STDERR_FILENO where fcntl(number, F_GETFD) == -1 { _ = open("/dev/null", O_RDONLY) }
  }

  /// Writes all of `text`.
  ///
  /// - Throws: `CommandFailure` with the system's reason.
  static func write(_ text: String, to descriptor: Int32, name: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if written >= 0 {
        rest = rest.dropFirst(written)
      } else if errno == EAGAIN {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&waiting, 1, -1)
      } else if errno != EINTR {
        let reason = String(cString: strerror(errno))
        throw CommandFailure.refused("\(name) cannot be written: \(reason); what the command changed stays changed")
      }
    }
  }
}
