import Foundation
import LocalServers
import Platform
import Postgres

/// A PostgreSQL 17 of the bench's own with `fsync` on: Sluice works in one, and psql repeats the same SQL in its twin.
struct BenchTarget: Sendable {
  static let database = "app"
  static let manager = "sluice_bench"
  static let owner = "bench_owner"
  /// How long a script may take that makes tables, or repeats what a case wrote.
  private static let scriptLimit: Duration = .seconds(600)

  let server: PrivatePostgres

  static func start(in directory: String) async throws -> BenchTarget {
    let server = try await PrivatePostgres.start(
      .init(
        directory: directory, installation: try await .find(atLeast: 17, preferring: 17),
        settings: [
          // What Sluice sends is read back from the log, with how long it took, to be repeated by psql.
          "log_min_duration_statement": "0", "log_parameter_max_length": "0", "log_line_prefix": "%p %u ",
          "log_min_messages": "error", "log_min_error_statement": "panic", "max_connections": "300",
        ], durable: true))
    let target = BenchTarget(server: server)
    try await target.execute(
      "create role \(manager) login createrole; create role \(owner) nologin", in: "postgres")
    try await target.execute("create database \(database) owner \(owner)", in: "postgres")
    try await target.execute(
      "revoke connect on database postgres, template1 from public; revoke connect on database \(database) from public;"
        + "grant connect on database \(database) to \(manager) with grant option", in: "postgres")
    return target
  }

  /// Makes a schema with tables that the manager may grant on.
  func makeTables(_ names: [String], schema: String, columns: Int = 2) async throws {
    let definition = (1...columns).map { "c\($0) \($0 == 1 ? "bigint" : "text")" }.joined(separator: ", ")
    let privileges = "select, insert, update, delete, truncate"
    try await execute(
      """
      set synchronous_commit = off; set client_min_messages = error;
      create schema if not exists \(schema) authorization \(Self.owner);
      grant usage on schema \(schema) to \(Self.manager) with grant option;
      """)
    // Each table takes a lock until its transaction ends: more than a few thousand at once do not fit.
    for start in stride(from: 0, to: names.count, by: 1000) {
      let list = names[start..<min(start + 1000, names.count)].map { "'\($0)'" }.joined(separator: ", ")
      try await execute(
        """
        set synchronous_commit = off;
        do $$ declare name text; begin
          set local role \(Self.owner);
          foreach name in array array[\(list)] loop
            execute format('create table \(schema).%I (\(definition))', name);
            execute format('grant \(privileges) on \(schema).%I to \(Self.manager) with grant option', name);
          end loop;
        end $$
        """)
    }
  }

  func execute(_ script: String, in database: String = BenchTarget.database) async throws {
    try await withSession(database) { _ = try await $0.execute(script, deadline: .after(Self.scriptLimit)) }
  }

  func withSession<Value: Sendable>(
    _ database: String, _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    let session = try await PostgresConnection.connect(
      PostgresConfiguration(
        host: server.socketDirectory, port: server.port, database: database, user: "postgres", tls: .disable))
    do {
      let value = try await body(session)
      await session.close()
      return value
    } catch {
      await session.close()
      throw error
    }
  }

  /// Runs a file with psql as the manager; returns how long that took, psql's own start included.
  func psql(_ file: String) async throws -> Double {
    let launch = Launch(
      server.options.installation.program("psql"),
      [
        "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.socketDirectory, "-p", "\(server.port)", "-U", Self.manager,
        "-d", Self.database, "-o", "/dev/null", "-f", file,
      ], environment: Launch.bareEnvironment())
    let began = ContinuousClock.now
    let run = try await ToolRun.run(launch, deadline: .after(Self.scriptLimit))
    guard run.status.isSuccess else { throw BenchError("psql could not repeat the SQL: \(run.output.suffix(500))") }
    return began.duration(to: .now).seconds
  }
}

/// An instant of a target's server: what has happened since is told by its log.
struct TargetMark: Sendable {
  let logLength: UInt64
  let walBytes: Double
}

extension BenchTarget {
  func mark() async throws -> TargetMark {
    let attributes = try FileManager.default.attributesOfItem(atPath: server.logFile)
    return TargetMark(logLength: (attributes[.size] as? UInt64) ?? 0, walBytes: try await walBytes())
  }

  /// What the manager's sessions did since then.
  func work(since mark: TargetMark) async throws -> TargetWork {
    let wal = try await walBytes() - mark.walBytes
    let log = try FileHandle(forReadingFrom: URL(fileURLWithPath: server.logFile))
    try log.seek(toOffset: mark.logLength)
    let text = String(decoding: try log.readToEnd() ?? Data(), as: UTF8.self)
    try log.close()
    return TargetWork(log: text[...], of: Self.manager, walBytes: wal)
  }

  private func walBytes() async throws -> Double {
    try await withSession("postgres") { session in
      try await session.query("select (pg_current_wal_insert_lsn() - '0/0')::double precision as wal").rows[0]
        .double("wal")
    }
  }

  /// Who made how many memberships, by name.
  func grantors() async throws -> [String] {
    try await withSession(Self.database) { session in
      try await session.query(
        "select grantor::regrole || ' ' || count(*) as made from pg_auth_members group by grantor order by 1"
      ).rows.map { try $0.text("made") }
    }
  }

  /// Rows of the catalog that were written so far: access control lists, memberships, roles, and what depends on them.
  func catalogRows() async throws -> Double {
    try await withSession(Self.database) { session in
      // What a session wrote it tells the statistics when it ends; one that rests may keep it for ten seconds.
      _ = try await session.query(
        "select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = $1 and state = 'idle'",
        [.text(Self.manager)])
      return try await session.query(
        """
        select sum(n_tup_ins + n_tup_upd + n_tup_del)::double precision as rows from pg_stat_sys_tables
        where relname in ('pg_class', 'pg_namespace', 'pg_database', 'pg_authid', 'pg_auth_members', 'pg_shdepend',
          'pg_shdescription')
        """
      ).rows[0].double("rows")
    }
  }
}
