internal import CLibpq
import Glibc
import Platform

extension Session {
  /// Runs one statement with parameters.
  func query(_ statement: PostgresStatement) throws(PostgresError) -> PostgresResult {
    do throws(PostgresError) {
      try send(statement)
      try flush()
      return try onlyResult()
    } catch {
      throw naming(statement.sql, error)
    }
  }

  /// Runs a script of several statements; returns what the server remarked.
  func execute(_ script: String) throws(PostgresError) -> [PostgresNotice] {
    do throws(PostgresError) {
      if PQsendQuery(try live(), script) != 1 { throw lost() }
      try flush()
      var notices: [PostgresNotice] = []
      var failed: PostgresError?
      while let outcome = try nextOutcome() {
        switch outcome {
        case .completed(let result): notices += result.notices
        case .failed(let error): failed = failed ?? error
        default: throw outOfStep("a script must not hold COPY")
        }
      }
      if let failed { throw failed }
      return notices
    } catch {
      throw naming(script, error)
    }
  }

  /// Hands a statement to libpq, which sends it with the next flush.
  func send(_ statement: PostgresStatement) throws(PostgresError) {
    guard statement.parameters.count <= PostgresStatement.maximumParameters else {
      throw failure(
        .configuration, "a statement takes at most \(PostgresStatement.maximumParameters) parameters; send arrays")
    }
    let parameters = EncodedParameters(statement.parameters)
    let connection = try live()
    let count = Int32(parameters.types.count)
    let sent = parameters.withPointers { values in
      if let name = statement.preparedName {
        PQsendQueryPrepared(connection, name, count, values, parameters.lengths, parameters.formats, 0)
      } else {
        PQsendQueryParams(
          connection, statement.sql, count, parameters.types, values, parameters.lengths, parameters.formats, 0)
      }
    }
    if sent != 1 { throw lost() }
  }

  /// Sends all that is buffered, and reads meanwhile so that neither side waits for the other.
  func flush() throws(PostgresError) {
    while true {
      let connection = try live()
      switch PQflush(connection) {
      case 0: return
      case 1:
        try wait(for: POLLIN | POLLOUT)
        // A failed read shows in the next flush or result.
        _ = PQconsumeInput(connection)
      default: throw lost()
      }
    }
  }

  /// The next answer to what was sent, or nil at a statement's end.
  func nextOutcome() throws(PostgresError) -> Outcome? {
    let connection = try live()
    while PQisBusy(connection) != 0 {
      try wait(for: POLLIN)
      if PQconsumeInput(connection) == 0 { break }
    }
    guard let pointer = PQgetResult(connection) else { return nil }
    let outcome = ResultHandle(pointer).outcome(notices: inbox.take(), endpoint: configuration.endpoint)
    if case .ended(let error) = outcome {
      close()
      throw error.recoded(.connectionLost, error.message)
    }
    guard PQstatus(connection) == CONNECTION_OK else { throw lost() }
    return outcome
  }

  /// The single result of a statement, read to its end.
  func onlyResult() throws(PostgresError) -> PostgresResult {
    var answer: Outcome?
    while let outcome = try nextOutcome() {
      switch outcome {
      case .completed, .failed: answer = answer ?? outcome
      default: throw outOfStep("the statement asks for a COPY; use copyIn or copyOut")
      }
    }
    switch answer {
    case .completed(let result): return result
    case .failed(let error): throw error
    default: throw outOfStep("the server sent no result")
    }
  }

  /// Protocol steps that did not come as they must: the connection cannot be trusted any more.
  func outOfStep(_ message: String) -> PostgresError {
    close()
    return failure(.protocolViolation, "\(message); connection closed")
  }

  func naming(_ sql: String, _ error: PostgresError) -> PostgresError {
    var named = error
    named.statement = PostgresStatement.keyword(of: sql)
    return named
  }
}

/// Parameters in the form libpq takes them: one buffer, and where each begins in it.
struct EncodedParameters {
  var types: [UInt32] = []
  var lengths: [Int32] = []
  var formats: [Int32] = []
  private var offsets: [Int?] = []
  private var bytes: [UInt8] = []

  init(_ values: [PostgresValue]) {
    for value in values {
      let start = bytes.count
      offsets.append(value.append(to: &bytes) ? start : nil)
      types.append(value.typeOID)
      lengths.append(Int32(bytes.count - start))
      formats.append(1)
    }
    bytes.append(0)  // An empty value at the end needs an address too.
  }

  func withPointers<Value>(_ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Value) -> Value {
    bytes.withUnsafeBytes { buffer in
      let base = buffer.bindMemory(to: CChar.self).baseAddress
      let pointers = offsets.map { offset in offset.flatMap { base?.advanced(by: $0) } }
      return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
    }
  }
}
