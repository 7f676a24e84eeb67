internal import CLibpq
import Foundation
import Platform

/// A request to stop the statement that a session runs, sent over a connection of its own.
///
/// `PQcancel` blocks until the server has closed that connection, so it has a thread of its own; a thread whose server
/// never answers ends with the TCP timeouts of the connection's configuration.
struct CancelRequest {
  private let delivered: WakeSignal

  init(for connection: OpaquePointer) throws(PostgresError) {
    let delivered = try WakeSignal()
    self.delivered = delivered
    guard let pointer = PQgetCancel(connection) else { return }
    let handle = CancelHandle(pointer: pointer)
    Thread.detachNewThread {
      handle.send()
      delivered.raise()
    }
  }

  /// True once the server has taken the request: only then can it not hit the session's next statement.
  func isDelivered(until deadline: Deadline) -> Bool {
    waitForSocket(-1, 0, or: delivered, until: deadline) == .signalled
  }
}

/// libpq's `PGcancel`.
///
/// `@unchecked`: the C object is not changed after `PQgetCancel`, `PQcancel` may be called from any thread, and the
/// closure of one thread holds the only reference.
private final class CancelHandle: @unchecked Sendable {
  private let pointer: OpaquePointer
  init(pointer: OpaquePointer) { self.pointer = pointer }
  deinit { PQfreeCancel(pointer) }

  func send() {
    var reason = [CChar](repeating: 0, count: 256)
    // Whether it helped shows in the session; a refused request leads to the end of the grace.
    _ = PQcancel(pointer, &reason, Int32(reason.count))
  }
}
