internal import CLibpq
import Platform

/// What tells prepared statements apart: the types of the parameters belong to how the server parsed the text.
struct PreparedKey: Hashable {
  let sql: String
  let types: [UInt32]
}

extension Session {
  /// Statements that one session keeps prepared; further ones are parsed each time.
  private static let preparedLimit = 64

  /// Runs one statement that the server parses on its first use only, and plans only as long as that pays.
  ///
  /// One that fails is parsed again the next time: its tables may have changed.
  func queryPrepared(_ statement: PostgresStatement) throws(PostgresError) -> PostgresResult {
    do throws(PostgresError) {
      let key = PreparedKey(sql: statement.sql, types: statement.parameters.map(\.typeOID))
      guard let name = try name(of: key) else { return try query(statement) }
      do throws(PostgresError) {
        try sendPrepared(name, statement.parameters)
        try flush()
        return try onlyResult()
      } catch {
        prepared[key] = nil
        throw error
      }
    } catch {
      throw naming(statement.sql, error)
    }
  }

  /// Nil when as many are prepared as may be.
  private func name(of key: PreparedKey) throws(PostgresError) -> String? {
    if let name = prepared[key] { return name }
    guard prepared.count < Self.preparedLimit else { return nil }
    // The server forgets a name with the session only: one that failed is never used again.
    preparedCount += 1
    let name = "sluice_\(preparedCount)"
    if PQsendPrepare(try live(), name, key.sql, Int32(key.types.count), key.types) != 1 { throw lost() }
    try flush()
    _ = try onlyResult()
    prepared[key] = name
    return name
  }

  private func sendPrepared(_ name: String, _ values: [PostgresValue]) throws(PostgresError) {
    let parameters = EncodedParameters(values)
    let connection = try live()
    let sent = parameters.withPointers { values in
      PQsendQueryPrepared(
        connection, name, Int32(parameters.types.count), values, parameters.lengths, parameters.formats, 0)
    }
    if sent != 1 { throw lost() }
  }
}
