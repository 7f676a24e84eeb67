import Postgres

/// What the planner knows of tables that have just grown. Autovacuum looks after them once a minute, and until then they
/// are taken for empty: what reads the desired state after a first sync took ten times as long (measured, 10,000 tables).
extension MetadataSession {
  /// From how many changed rows on statistics are collected at once; it costs some 50 ms a table.
  private static let manyRows = 1000

  /// Collects statistics of tables of which many rows have changed in this transaction; its last statement, because
  /// another transaction's would wait for its end. A login that does not own the tables is told so by a warning alone.
  package func collectStatistics(of tables: StaticString..., changedRows: Int) async throws {
    guard changedRows >= Self.manyRows else { return }
    try await connection.execute("analyze \(tables.map(\.description).joined(separator: ", "))")
  }
}
