internal import CLibpq
import Glibc
import Platform

extension Session {
  /// Waits for notifications until at least one is there or the limit has passed.
  func notifications(until limit: Deadline) throws(PostgresError) -> [PostgresNotification] {
    while true {
      let connection = try live()
      if PQconsumeInput(connection) != 1 { throw lost() }
      let received = takeNotifications(connection)
      if !received.isEmpty { return received }
      switch try idleWait(for: POLLIN, until: limit) {
      case .ready: continue
      case .timedOut: return []
      case .signalled: throw failure(.cancelled, "the task was cancelled while it waited for notifications")
      }
    }
  }

  private func takeNotifications(_ connection: OpaquePointer) -> [PostgresNotification] {
    var received: [PostgresNotification] = []
    while let notification = PQnotifies(connection) {
      defer { PQfreemem(notification) }
      received.append(
        PostgresNotification(
          channel: String(cString: notification.pointee.relname),
          payload: String(cString: notification.pointee.extra), processID: notification.pointee.be_pid))
    }
    return received
  }

  /// True if the connection is open, idle and outside any transaction; sees also that the server has closed it.
  var isIdle: Bool {
    guard let connection, isAtRest else { return false }
    // Two reads: the first takes what the server said in parting, the second sees the end.
    for _ in 0..<2 {
      guard waitForSocket(PQsocket(connection), Int16(POLLIN), or: nil, until: .after(.zero)) == .ready else {
        return true
      }
      if PQconsumeInput(connection) != 1 { return false }
    }
    return true
  }

  /// As `isIdle`, without a look whether the server has closed the connection.
  var isAtRest: Bool {
    guard let connection else { return false }
    return PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) == PQTRANS_IDLE
  }

  /// True if a transaction is open, in whatever state.
  var isInTransaction: Bool {
    guard let connection else { return false }
    return [PQTRANS_INTRANS, PQTRANS_INERROR, PQTRANS_ACTIVE].contains(PQtransactionStatus(connection))
  }

  /// True while a statement or a COPY has not been read to its end.
  var isActive: Bool { connection.map { PQtransactionStatus($0) == PQTRANS_ACTIVE } ?? false }

  /// Such as 170010 for 17.10; 0 without a connection.
  var serverVersion: Int { connection.map { Int(PQserverVersion($0)) } ?? 0 }
}
