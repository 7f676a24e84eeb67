import Platform

extension PostgresConnection {
  /// How much is sent or read between two looks at the caller: bounds the memory of a COPY of any size.
  static let copyChunkBytes = 65_536

  /// Sends rows with `COPY … FROM STDIN (FORMAT binary)`; returns how many the server took.
  ///
  /// Values must have exactly the columns' types. If the rows end with an error, or the task is cancelled, the server
  /// takes none of them. The deadline is looked at whenever a chunk is sent, not while the rows themselves are awaited.
  package func copyIn(
    _ sql: String, rows: some AsyncSequence<[PostgresValue], any Error> & Sendable, deadline: Deadline? = nil
  ) async throws -> Int {
    let limit = limit(deadline)
    return try await copying(sql, limit) { chunk in
      chunk = CopyEncoding.header
      for try await row in rows {
        CopyEncoding.append(row, to: &chunk)
        if chunk.count >= Self.copyChunkBytes { try await self.put(&chunk, limit) }
      }
      chunk += CopyEncoding.trailer
    }
  }

  /// The same for rows that are all there: without a suspension for each of them.
  package func copyIn(_ sql: String, rows: [[PostgresValue]], deadline: Deadline? = nil) async throws -> Int {
    let limit = limit(deadline)
    return try await copying(sql, limit) { chunk in
      chunk = CopyEncoding.header
      for row in rows {
        CopyEncoding.append(row, to: &chunk)
        if chunk.count >= Self.copyChunkBytes { try await self.put(&chunk, limit) }
      }
      chunk += CopyEncoding.trailer
    }
  }

  func copying(
    _ sql: String, _ limit: Deadline, _ send: (inout [UInt8]) async throws -> Void
  ) async throws -> Int {
    try await run(until: limit) { session throws(PostgresError) in try session.beginCopyIn(sql) }
    setCopying(true)
    defer { setCopying(false) }
    do {
      var chunk: [UInt8] = []
      try await send(&chunk)
      // Rows may simply end when the task is cancelled; `run` refuses then, so that no part is taken for the whole.
      try await put(&chunk, limit)
      return try await run(until: limit, partOfCopy: true) { session throws(PostgresError) in try session.endCopyIn() }
    } catch {
      abort { session throws(PostgresError) in try session.abortCopyIn() }
      throw error
    }
  }

  /// Reads a query's rows with `COPY (query) TO STDOUT`, chunk by chunk: the next is read when `onRow` has returned.
  ///
  /// The query takes no parameters. If `onRow` throws, the server is stopped and the error is thrown.
  package nonisolated func copyOut(
    _ query: String, deadline: Deadline? = nil, onRow: @Sendable (PostgresRow) async throws -> Void
  ) async throws {
    let limit = await limit(deadline)
    try await beginCopyOut("COPY (\(query)) TO STDOUT (FORMAT text, HEADER)", limit)
    do {
      var columns: PostgresColumns?
      while let chunk = try await nextChunk(limit) {
        for line in chunk {
          guard let known = columns else {
            columns = PostgresColumns(line.map { $0 ?? "" })
            continue
          }
          try await onRow(PostgresRow(columns: known, values: line))
        }
      }
    } catch {
      await abortCopyOut()
      throw error
    }
  }

  func put(_ chunk: inout [UInt8], _ limit: Deadline) async throws(PostgresError) {
    let bytes = chunk
    chunk.removeAll(keepingCapacity: true)
    try await run(until: limit, partOfCopy: true) { session throws(PostgresError) in
      try session.putCopy(bytes)
      // Cancelled while it was sent: the caller takes the COPY back.
      if let interruption = session.interruption { throw session.failure(interruption.code, "the COPY was stopped") }
    }
  }

  func beginCopyOut(_ sql: String, _ limit: Deadline) async throws(PostgresError) {
    try await run(until: limit) { session throws(PostgresError) in try session.beginCopyOut(sql) }
    setCopying(true)
  }

  /// The next lines; nil at the end, after which the connection is free again.
  private func nextChunk(_ limit: Deadline) async throws(PostgresError) -> [[String?]]? {
    guard isCopyOpen else { return nil }
    let chunk = try await run(until: limit, partOfCopy: true) { session throws(PostgresError) in
      try session.copyLines(upTo: Self.copyChunkBytes)
    }
    if chunk.isLast { setCopying(false) }
    return chunk.lines
  }

  func abortCopyOut() {
    guard isCopyOpen else { return }
    setCopying(false)
    abort { session throws(PostgresError) in try session.abortCopyOut() }
  }

  /// Brings the connection back in order after a COPY that failed; closes it where that does not succeed.
  private func abort(_ body: (Session) throws(PostgresError) -> Void) {
    // The server has ended a COPY that failed by itself.
    guard isActive else { return }
    do throws(PostgresError) {
      try runUncancelled(until: .after(configuration.cancelGrace), body)
    } catch {
      close()
    }
  }
}
