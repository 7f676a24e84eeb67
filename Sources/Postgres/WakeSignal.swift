internal import CLibpq
import Glibc
import Platform

/// A wait's second descriptor: an eventfd that any thread may raise.
final class WakeSignal: Sendable {
  let descriptor: Int32

  init() throws(PostgresError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if descriptor < 0 {
      throw PostgresError(.connect, "cannot make an eventfd (errno \(errno)); raise the limit of open files")
    }
  }

  deinit { close(descriptor) }

  func raise() {
    var one: UInt64 = 1
    // Fails only when the counter is full, and then it is raised already.
    _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
  }

  func clear() {
    var count: UInt64 = 0
    // Fails only when it is not raised.
    _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
  }
}

/// How a wait ended.
enum Wake { case ready, signalled, timedOut }

/// Waits in `poll(2)` until the socket is ready, the signal is raised or the deadline has passed.
///
/// A raised signal comes before a ready socket, so that a busy server cannot keep a cancellation waiting.
func waitForSocket(_ socket: Int32, _ events: Int16, or signal: WakeSignal?, until deadline: Deadline) -> Wake {
  while true {
    var descriptors = [
      pollfd(fd: signal?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
      pollfd(fd: socket, events: events, revents: 0),
    ]
    let count = poll(&descriptors, 2, Int32(clamping: deadline.remainingMilliseconds))
    if count < 0 && errno == EINTR { continue }
    if count == 0 { return .timedOut }
    return descriptors[0].revents != 0 ? .signalled : .ready
  }
}
