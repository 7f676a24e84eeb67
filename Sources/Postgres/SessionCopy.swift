internal import CLibpq
import Glibc
import Platform

// COPY towards the server.
extension Session {
  func beginCopyIn(_ sql: String) throws(PostgresError) {
    try beginCopy(sql) { if case .copyIn = $0 { true } else { false } }
  }

  /// Sends a chunk and waits until it is out, because libpq would buffer without bound.
  func putCopy(_ chunk: [UInt8]) throws(PostgresError) {
    let connection = try live()
    let sent = chunk.withUnsafeBytes {
      PQputCopyData(connection, $0.bindMemory(to: CChar.self).baseAddress, Int32($0.count))
    }
    if sent != 1 { throw lost() }
    try flush()
  }

  /// Ends the COPY; returns the number of rows that the server took.
  func endCopyIn() throws(PostgresError) -> Int {
    if interruption != nil { throw failure(.cancelled, "the COPY was interrupted") }
    if PQputCopyEnd(try live(), nil) != 1 { throw lost() }
    try flush()
    return try onlyResult().affected
  }

  /// Takes the COPY back. The server's error about it is expected; the one that led here is what the caller gets.
  func abortCopyIn() throws(PostgresError) {
    if PQputCopyEnd(try live(), "the sender gave up") != 1 { throw lost() }
    try flush()
    try drain()
  }

  private func beginCopy(_ sql: String, expecting isExpected: (Outcome) -> Bool) throws(PostgresError) {
    do throws(PostgresError) {
      try send(PostgresStatement(sql))
      try flush()
      let outcome = try nextOutcome()
      if let outcome, isExpected(outcome) { return }
      try drain()
      if case .failed(let error) = outcome { throw error }
      throw failure(.protocolViolation, "the statement is not a COPY in the expected direction")
    } catch {
      throw naming(sql, error)
    }
  }

  /// Reads and drops what is left of a statement.
  private func drain() throws(PostgresError) {
    while let outcome = try nextOutcome() {
      switch outcome {
      case .copyIn: if PQputCopyEnd(try live(), "not expected") != 1 { throw lost() }
      case .copyOut: while try copyRow({ _ in true }) != nil {}
      default: break
      }
    }
  }
}

// COPY from the server: lines of its text form, or whatever its binary form holds.
extension Session {
  func beginCopyOut(_ sql: String) throws(PostgresError) {
    try beginCopy(sql) { if case .copyOut = $0 { true } else { false } }
  }

  /// Reads lines until they make up `limit` bytes; fewer, or none, at the end of the data.
  func copyLines(upTo limit: Int) throws(PostgresError) -> (lines: [[String?]], isLast: Bool) {
    var lines: [[String?]] = []
    var size = 0
    while size < limit {
      guard let line = try copyLine() else {
        _ = try onlyResult()
        return (lines, true)
      }
      lines.append(line.fields)
      size += line.size
    }
    return (lines, false)
  }

  /// Stops a COPY whose rows nobody wants any more.
  func abortCopyOut() throws(PostgresError) {
    try interrupt(.cancelled)
    while try copyRow({ _ in true }) != nil {}
    try drain()
  }

  /// Reads what makes up a COPY in binary form until it comes to `limit` bytes; less, or nothing, at the end of the data.
  func copyBytes(upTo limit: Int) throws(PostgresError) -> (bytes: [UInt8], rows: Int, isLast: Bool) {
    var bytes: [UInt8] = []
    var rows = 0
    while bytes.count < limit {
      let isRow = try copyRow { row in
        bytes.append(contentsOf: row)
        return !row.elementsEqual(CopyEncoding.trailer)
      }
      guard let isRow else {
        _ = try onlyResult()
        return (bytes, rows, true)
      }
      if isRow { rows += 1 }
    }
    return (bytes, rows, false)
  }

  private func copyLine() throws(PostgresError) -> (fields: [String?], size: Int)? {
    try copyRow { row in
      let hasLineEnd = row.last == UInt8(ascii: "\n")
      let line = UnsafeBufferPointer(rebasing: row.bindMemory(to: UInt8.self).dropLast(hasLineEnd ? 1 : 0))
      return (PostgresText.copyLine(line), row.count)
    }
  }

  /// The server sends each row by itself.
  private func copyRow<Value>(_ body: (UnsafeRawBufferPointer) -> Value) throws(PostgresError) -> Value? {
    let connection = try live()
    while true {
      var start: UnsafeMutablePointer<CChar>?
      let count = PQgetCopyData(connection, &start, 1)
      if count > 0, let start {
        defer { PQfreemem(start) }
        return body(UnsafeRawBufferPointer(start: start, count: Int(count)))
      }
      if count == -1 { return nil }
      if count < 0 { throw lost() }
      try wait(for: POLLIN)
      // A failed read shows in the next attempt.
      _ = PQconsumeInput(connection)
    }
  }
}

/// COPY's binary format. Source: PostgreSQL documentation of COPY, "Binary Format".
enum CopyEncoding {
  static let header: [UInt8] = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0] + [UInt8](repeating: 0, count: 8)
  static let trailer: [UInt8] = [0xFF, 0xFF]

  static func append(_ row: [PostgresValue], to buffer: inout [UInt8]) {
    buffer.appendBigEndian(Int16(row.count))
    for value in row { value.appendWithLength(to: &buffer) }
  }
}
