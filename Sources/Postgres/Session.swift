internal import CLibpq
import Glibc
import Logging
import Platform

/// One libpq connection in its non-blocking mode, driven by blocking calls on the thread of its actor.
///
/// Every call runs inside `perform`, which sets its deadline. When that passes, or the caller's task is cancelled, the
/// session asks the server to stop the statement and goes on reading until the server has answered, for as long as
/// the grace allows; then it closes the socket. So a connection is afterwards either in step or closed.
final class Session {
  let configuration: PostgresConfiguration
  let signal: WakeSignal
  var connection: OpaquePointer?
  let inbox = NoticeInbox()
  /// Statements that the server has parsed for this session, by text and types.
  var prepared: [PreparedKey: String] = [:]
  /// How many there have been: none of their names comes again.
  var preparedCount = 0

  /// Why a call stopped waiting for the server of its own accord.
  struct Interruption {
    let code: PostgresError.Code
    let request: CancelRequest
    let graceEnd: Deadline
  }

  private(set) var interruption: Interruption?
  private var deadline: Deadline = .after(.zero)

  init(_ configuration: PostgresConfiguration) throws(PostgresError) {
    self.configuration = configuration
    signal = try WakeSignal()
  }

  deinit { close() }

  /// Ends the connection; harmless when it has ended already.
  func close() {
    guard let open = connection else { return }
    connection = nil
    prepared = [:]
    PQfinish(open)
  }

  /// Runs one call under a deadline.
  func perform<Value>(
    until deadline: Deadline, _ body: () throws(PostgresError) -> Value
  ) throws(PostgresError) -> Value {
    if deadline.hasPassed { throw failure(.timedOut, "the deadline had passed before the call began") }
    self.deadline = deadline
    interruption = nil
    inbox.logUnclaimed()
    do {
      let value = try body()
      settleInterruption()
      return value
    } catch {
      settleInterruption()
      // Not the server any more that takes writes, or not at the moment: the next connection finds the one that does.
      if error.sqlState == .readOnlySQLTransaction { close() }
      throw explained(error)
    }
  }

  /// The open connection; throws `closed` when there is none any more.
  func live() throws(PostgresError) -> OpaquePointer {
    guard let connection else { throw failure(.closed, "the connection is closed") }
    return connection
  }

  /// Waits until the socket is ready; on the deadline or a cancellation, first interrupts the statement.
  func wait(for events: Int32) throws(PostgresError) {
    while true {
      let socket = PQsocket(try live())
      let wake = waitForSocket(
        socket, Int16(events), or: interruption == nil ? signal : nil, until: interruption?.graceEnd ?? deadline)
      switch wake {
      case .ready: return
      case .signalled: try interrupt(.cancelled)
      case .timedOut where interruption == nil: try interrupt(.timedOut)
      case .timedOut: throw abandoned()
      }
    }
  }

  /// Waits without a statement that could be interrupted.
  func idleWait(for events: Int32, until limit: Deadline? = nil) throws(PostgresError) -> Wake {
    waitForSocket(PQsocket(try live()), Int16(events), or: signal, until: min(limit ?? deadline, deadline))
  }

  /// Asks the server to stop the statement, and gives it the grace to say so.
  func interrupt(_ code: PostgresError.Code) throws(PostgresError) {
    guard interruption == nil else { return }
    do {
      let request = try CancelRequest(for: live())
      interruption = Interruption(code: code, request: request, graceEnd: .after(configuration.cancelGrace))
    } catch {
      close()
      throw error
    }
  }

  /// Closes a connection that cannot be brought back in step.
  func abandoned() -> PostgresError {
    close()
    let why = interruption?.code == .cancelled ? "the task was cancelled" : "the deadline passed"
    return failure(
      interruption?.code ?? .timedOut,
      "\(why), and the server did not stop the statement within \(configuration.cancelGrace); connection closed")
  }

  func failure(_ code: PostgresError.Code, _ message: String, file: String = #fileID, line: Int = #line)
    -> PostgresError
  {
    PostgresError(code, message, endpoint: configuration.endpoint, file: file, line: line)
  }

  /// The transport failed: says why, and closes.
  func lost() -> PostgresError {
    let text = connection.flatMap { PQerrorMessage($0) }.map { String(cString: $0) } ?? ""
    close()
    let reason = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "the server closed the connection"
    return failure(.connectionLost, reason)
  }

  /// A cancel request that is still under way could hit the next statement: wait for it, or give the connection up.
  private func settleInterruption() {
    guard let interruption, connection != nil else { return }
    if !interruption.request.isDelivered(until: interruption.graceEnd) { close() }
  }

  private func explained(_ error: PostgresError) -> PostgresError {
    guard let interruption, error.sqlState == .queryCanceled else { return error }
    return interruption.code == .cancelled
      ? error.recoded(.cancelled, "the task was cancelled, and the server stopped the statement")
      : error.recoded(.timedOut, "the deadline passed, and the server stopped the statement")
  }
}

/// Collects what the server remarks; libpq delivers it on the session's thread.
final class NoticeInbox {
  private static let logger = Logger(label: "sluice.postgres")
  /// A statement that remarks on every row must not fill the memory.
  private static let limit = 1000
  private var notices: [PostgresNotice] = []

  func append(_ notice: PostgresNotice) {
    if notices.count < Self.limit { notices.append(notice) } else { log(notice) }
  }

  func take() -> [PostgresNotice] {
    defer { notices.removeAll() }
    return notices
  }

  func logUnclaimed() { for notice in take() { log(notice) } }

  private func log(_ notice: PostgresNotice) {
    Self.logger.debug("\(notice.severity): \(notice.message)", metadata: ["sqlstate": "\(notice.sqlState.rawValue)"])
  }
}
