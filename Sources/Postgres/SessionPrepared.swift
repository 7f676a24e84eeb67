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

  /// Runs one statement that the server parses on its first use only.
  ///
  /// One that fails is parsed again the next time: its tables may have changed.
  ///
  /// - Parameter isPlannedOnce: whether it is planned on its first use only, too, for whatever values; otherwise the
  ///   server plans as long as that pays by its own estimate, which leaves out what the search for a plan costs
  func queryPrepared(
    _ statement: PostgresStatement, isPlannedOnce: Bool
  ) throws(PostgresError) -> PostgresResult {
    do throws(PostgresError) {
      let key = PreparedKey(sql: statement.sql, types: statement.parameters.map(\.typeOID))
      guard let name = try name(of: key) else { return try query(statement) }
      var named = statement
      named.preparedName = name
      do throws(PostgresError) {
        return isPlannedOnce ? try pipeline(Self.plannedOnce(named))[1] : try query(named)
      } catch {
        prepared[key] = nil
        throw error
      }
    } catch {
      throw naming(statement.sql, error)
    }
  }

  /// Without a transaction around them they are one, so that the setting does not outlive a statement that fails.
  private static func plannedOnce(_ statement: PostgresStatement) -> [PostgresStatement] {
    [
      PostgresStatement("set plan_cache_mode to force_generic_plan"), statement,
      PostgresStatement("reset plan_cache_mode"),
    ]
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
}
