import Platform

/// A step of a database's schema. It is never changed once it has been released: its checksum is kept.
package struct Migration: Sendable, Equatable {
  /// Counted up from 1.
  package let version: Int
  package let name: String
  package let sql: String

  package init(version: Int, name: String, sql: String) {
    self.version = version
    self.name = name
    self.sql = sql
  }
}

/// Brings a database's schema forward, each migration in a transaction of its own; never back.
///
/// Two migrators at the same time do no harm: a lock of the transaction lets one in, and the other finds the row of
/// the version there.
package struct Migrator: Sendable {
  /// Where a database stands against the migrations that this program knows.
  package enum State: Sendable, Equatable {
    case empty
    case current
    case behind(from: Int, to: Int)
    /// A newer program has been here.
    case ahead(found: Int)
    /// A migration that was applied reads differently in this program.
    case changed(version: Int)
  }

  /// The key of the advisory lock: "sluice" in ASCII.
  private static let lockKey: Int64 = 0x736c_7569_6365
  private let migrations: [Migration]

  package init(migrations: [Migration]) {
    let sorted = migrations.sorted { $0.version < $1.version }
    precondition(zip(sorted, 1...).allSatisfy { $0.version == $1 }, "migration versions count up from 1 without gaps")
    self.migrations = sorted
  }

  /// Compares the database with the known migrations; changes nothing.
  package func state(on connection: PostgresConnection) async throws(PostgresError) -> State {
    let exists = try await connection.query("SELECT to_regclass('sluice_migration') IS NOT NULL AS found")
    guard try exists.rows.first?.bool("found") == true else { return .empty }
    let applied = try await connection.query(
      """
      SELECT version,
        checksum = encode(sha256(convert_to(known.sql, 'UTF8')), 'hex') AS is_same
      FROM sluice_migration
      LEFT JOIN unnest($1::bigint[], $2::text[]) AS known(version, sql) USING (version)
      ORDER BY version
      """,
      [.int8Array(migrations.map { Int64($0.version) }), .textArray(migrations.map(\.sql))])
    return try state(of: applied.rows)
  }

  private func state(of applied: [PostgresRow]) throws(PostgresError) -> State {
    var last = 0
    for row in applied {
      last = Int(try row.int("version"))
      if last > migrations.count { return .ahead(found: try Int(applied[applied.count - 1].int("version"))) }
      if try row.optionalBool("is_same") != true { return .changed(version: last) }
    }
    if last == 0 { return .empty }
    return last < migrations.count ? .behind(from: last, to: migrations.count) : .current
  }

  /// Applies what is missing; returns the versions that this call applied.
  ///
  /// Refuses (code `configuration`) a database that is newer than the known migrations, or in which one differs.
  package func migrate(
    on connection: PostgresConnection, deadline: Deadline = .after(.seconds(600))
  ) async throws -> [Int] {
    var applied: [Int] = []
    for migration in migrations {
      let isNew = try await connection.transaction(deadline: deadline) { connection in
        try await apply(migration, on: connection, deadline: deadline)
      }
      if isNew { applied.append(migration.version) }
    }
    return applied
  }

  /// False if the migration had been applied before.
  private func apply(
    _ migration: Migration, on connection: PostgresConnection, deadline: Deadline
  ) async throws -> Bool {
    _ = try await connection.query("SELECT pg_advisory_xact_lock($1)", [.int8(Self.lockKey)], deadline: deadline)
    try await refuseForeignState(on: connection)
    try await connection.execute(Self.table)
    let inserted = try await connection.query(
      """
      INSERT INTO sluice_migration (version, name, checksum)
      VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))
      ON CONFLICT (version) DO NOTHING
      """,
      [.int(migration.version), .text(migration.name), .text(migration.sql)])
    if inserted.affected == 0 { return false }
    try await connection.execute(migration.sql, deadline: deadline)
    return true
  }

  private func refuseForeignState(on connection: PostgresConnection) async throws(PostgresError) {
    switch try await state(on: connection) {
    case .empty, .current, .behind: return
    case .ahead(let found):
      throw PostgresError(
        .configuration,
        "the database has migration \(found), this program knows \(migrations.count); run the newer program",
        endpoint: connection.configuration.endpoint)
    case .changed(let version):
      throw PostgresError(
        .configuration,
        "migration \(version) was applied with another content than this program has; run the program that applied it",
        endpoint: connection.configuration.endpoint)
    }
  }

  private static let table = """
    SET LOCAL client_min_messages = warning;
    CREATE TABLE IF NOT EXISTS sluice_migration (
      version bigint PRIMARY KEY,
      name text NOT NULL,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    );
    """
}
