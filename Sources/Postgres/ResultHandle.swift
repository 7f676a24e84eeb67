internal import CLibpq

/// What came back for a statement, or for a step of it.
enum Outcome {
  case completed(PostgresResult)
  case failed(PostgresError)
  /// The server says why it ends the session.
  case ended(PostgresError)
  case copyIn, copyOut
  /// A statement of a pipeline that was not run because an earlier one failed.
  case skipped
  case synchronized
}

/// Owns a `PGresult`; everything is copied out of it before it goes.
struct ResultHandle: ~Copyable {
  private let pointer: OpaquePointer

  init(_ pointer: OpaquePointer) { self.pointer = pointer }

  deinit { PQclear(pointer) }

  func outcome(notices: [PostgresNotice], endpoint: String) -> Outcome {
    switch PQresultStatus(pointer) {
    case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .completed(result(notices: notices))
    case PGRES_COPY_IN: .copyIn
    case PGRES_COPY_OUT: .copyOut
    case PGRES_PIPELINE_SYNC: .synchronized
    case PGRES_PIPELINE_ABORTED: .skipped
    default: failure(ServerReport(pointer), endpoint)
    }
  }

  private func failure(_ report: ServerReport, _ endpoint: String) -> Outcome {
    let error = report.error(endpoint: endpoint)
    return ["FATAL", "PANIC"].contains(report.severity) ? .ended(error) : .failed(error)
  }

  private func result(notices: [PostgresNotice]) -> PostgresResult {
    let columns = PostgresColumns((0..<PQnfields(pointer)).map { String(cString: PQfname(pointer, $0)) })
    let rows = (0..<PQntuples(pointer)).map { row in
      PostgresRow(columns: columns, values: (0..<PQnfields(pointer)).map { value(row: row, column: $0) })
    }
    return PostgresResult(
      rows: rows, notices: notices, affected: Int(String(cString: PQcmdTuples(pointer))) ?? 0,
      commandTag: String(cString: PQcmdStatus(pointer)))
  }

  private func value(row: Int32, column: Int32) -> String? {
    guard PQgetisnull(pointer, row, column) == 0, let start = PQgetvalue(pointer, row, column) else { return nil }
    let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(pointer, row, column)))
    return String(decoding: bytes, as: UTF8.self)
  }
}

/// The fields of an error or a notice of the server.
struct ServerReport {
  let severity: String
  let sqlState: SQLState?
  private let message: String
  private let detail: String?
  private let names: [String]

  init(_ result: OpaquePointer) {
    // The letters are those of the protocol, which libpq's PG_DIAG_ constants stand for.
    func field(_ letter: Unicode.Scalar) -> String? {
      PQresultErrorField(result, Int32(letter.value)).map { String(cString: $0) }
    }
    severity = field("V") ?? field("S") ?? "ERROR"
    sqlState = field("C").map { SQLState(rawValue: $0) }
    message = field("M") ?? Self.firstLine(String(cString: PQresultErrorMessage(result)))
    detail = field("D")
    names = [("constraint", "n"), ("table", "t"), ("column", "c")].compactMap { kind, letter in
      field(letter).map { "\(kind) \"\($0)\"" }
    }
  }

  /// Messages of these classes may quote the data that was refused.
  private var mayQuoteData: Bool {
    switch sqlState {
    case SQLState.Class.dataException, SQLState.Class.integrityConstraintViolation: true
    default: false
    }
  }

  var safeMessage: String {
    guard mayQuoteData, let sqlState else { return message }
    let condition = sqlState.conditionName ?? (sqlState.sqlClass == .dataException ? "data exception" : "violation")
    return ([condition] + names).joined(separator: ", ")
  }

  func error(endpoint: String) -> PostgresError {
    PostgresError(
      .server, safeMessage, sqlState: sqlState, detail: mayQuoteData ? nil : detail, endpoint: endpoint)
  }

  var notice: PostgresNotice {
    PostgresNotice(severity: severity, sqlState: sqlState ?? SQLState(rawValue: "00000"), message: safeMessage)
  }

  private static func firstLine(_ text: String) -> String {
    String(text.prefix { !$0.isNewline })
  }
}
