internal import CLibpq
import Glibc
import Platform

extension Session {
  /// Connects to the first address that answers; each gets an equal share of the time that is left.
  ///
  /// A refused login or certificate ends it at once: another address of the same server would say the same.
  func open(addresses: [String?], until deadline: Deadline) throws(PostgresError) {
    var failure: PostgresError?
    for (index, address) in addresses.enumerated() {
      let share = deadline.remaining / (addresses.count - index)
      do {
        return try open(address: address, until: .after(share))
      } catch {
        close()
        guard error.code == .connect || error.code == .timedOut else { throw error }
        failure = error
      }
    }
    throw failure ?? self.failure(.resolve, "the host has no address")
  }

  private func open(address: String?, until deadline: Deadline) throws(PostgresError) {
    let parameters = configuration.connectionParameters(address: address).sorted { $0.key < $1.key }
    connection = withCStrings(parameters.map(\.key)) { keywords in
      withCStrings(parameters.map(\.value)) { values in PQconnectStartParams(keywords, values, 0) }
    }
    let pointer = try live()
    PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
    // The inbox lives as long as the session, which owns the connection.
    PQsetNoticeReceiver(pointer, receiveNotice, Unmanaged.passUnretained(inbox).toOpaque())
    if PQstatus(pointer) == CONNECTION_BAD { throw refusal() }
    try exchange(pointer, until: deadline)
    if PQsetnonblocking(pointer, 1) != 0 { throw lost() }
  }

  private func exchange(_ pointer: OpaquePointer, until deadline: Deadline) throws(PostgresError) {
    var next = PGRES_POLLING_WRITING
    while next != PGRES_POLLING_OK {
      if next == PGRES_POLLING_FAILED { throw refusal() }
      let wake = try idleWait(for: next == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, until: deadline)
      switch wake {
      case .ready: next = PQconnectPoll(pointer)
      case .signalled: throw failure(.cancelled, "the task was cancelled while it connected")
      case .timedOut: throw failure(.timedOut, "the server did not answer in time while connecting")
      }
    }
  }

  private func refusal() -> PostgresError {
    let text = connection.flatMap { PQerrorMessage($0) }.map { String(cString: $0) } ?? ""
    return ConnectionRefusal(text).error(endpoint: configuration.endpoint)
  }
}

private func receiveNotice(_ inbox: UnsafeMutableRawPointer?, _ result: OpaquePointer?) {
  guard let inbox, let result else { return }
  Unmanaged<NoticeInbox>.fromOpaque(inbox).takeUnretainedValue().append(ServerReport(result).notice)
}

/// Calls `body` with a null-terminated list of C strings.
private func withCStrings<Value>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Value?
) -> Value? {
  var bytes: [CChar] = []
  var offsets: [Int] = []
  for string in strings {
    offsets.append(bytes.count)
    bytes.append(contentsOf: string.utf8CString)
  }
  return bytes.withUnsafeBufferPointer { buffer in
    var pointers: [UnsafePointer<CChar>?] = offsets.map { buffer.baseAddress?.advanced(by: $0) }
    pointers.append(nil)
    return pointers.withUnsafeBufferPointer { list in list.baseAddress.flatMap(body) }
  }
}
