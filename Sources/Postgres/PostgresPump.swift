import Platform

extension PostgresConnection {
  /// Sends the rows of a query to another database as they come: COPY to COPY, in binary form, without being decoded on
  /// the way. Holds two chunks of them at most.
  ///
  /// If either side fails, the task is cancelled or `onRows` throws, both COPYs are taken back: the other database has
  /// taken no row.
  ///
  /// - Parameters:
  ///   - query: Takes no parameters. Its columns must have exactly the types of those that `copyIn` names.
  ///   - copyIn: `COPY … FROM STDIN (FORMAT binary)`, run in the other database.
  ///   - deadline: for both; without one, each side has its statement timeout, and never longer than its transaction.
  ///   - onRows: told after each chunk how many rows have come so far.
  /// - Returns: how many rows the other database took.
  @discardableResult
  package nonisolated func pump(
    _ query: String, to destination: PostgresConnection, _ copyIn: String, deadline: Deadline? = nil,
    onRows: @Sendable (Int) throws -> Void = { _ in }
  ) async throws -> Int {
    let limit = await limit(deadline)
    try await beginCopyOut("COPY (\(query)) TO STDOUT (FORMAT binary)", limit)
    do {
      return try await destination.take(copyIn, from: self, limit, deadline: deadline, onRows)
    } catch {
      await abortCopyOut()
      throw error
    }
  }

  private func take(
    _ sql: String, from source: PostgresConnection, _ sourceLimit: Deadline, deadline: Deadline?,
    _ onRows: @Sendable (Int) throws -> Void
  ) async throws -> Int {
    let limit = limit(deadline)
    return try await copying(sql, limit) { chunk in
      var rows = 0
      while let part = try await source.nextBytes(sourceLimit) {
        chunk = part.bytes
        try await self.put(&chunk, limit)
        rows += part.rows
        try onRows(rows)
      }
    }
  }

  /// The next rows; nil at the end, after which the connection is free again.
  private func nextBytes(_ limit: Deadline) async throws(PostgresError) -> (bytes: [UInt8], rows: Int)? {
    guard isCopyOpen else { return nil }
    let chunk = try await run(until: limit, partOfCopy: true) { session throws(PostgresError) in
      try session.copyBytes(upTo: Self.copyChunkBytes)
    }
    if chunk.isLast { setCopying(false) }
    return (chunk.bytes, chunk.rows)
  }
}
