import Foundation
import Governance
import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@testable import Enforcement

/// A sync reads and writes what is asked for, and of that what has changed.
@Suite(.timeLimit(.minutes(2)))
struct SyncTests {
  @Test func anUnchangedDatabaseIsReadAndNothingFollows() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let before = try await bench.treeVersions()
      let sync = try await bench.syncDatabase()
      #expect(sync.found == 2 && sync.columns == 0 && sync.submitted == [])
      #expect(try await bench.treeVersions() == before)
    }
  }

  @Test func aGrantThatSomebodyChangedIsComparedAndNoColumnIsRead() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana)")
      for change in [
        "select on table sales.orders", "usage on schema sales", "usage on sequence sales.orders_id_seq",
        "connect on database \(bench.target.database)",
      ] {
        try await bench.target.execute("grant \(change) to \(ana)")
        let sync = try await bench.syncDatabase()
        #expect(sync.columns == 0 && sync.submitted.count == 1, "\(change)")
        #expect(try await bench.syncDatabase().submitted == [], "\(change)")
      }
    }
  }

  @Test func columnsFollowWhatBecomesOfThem() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createTables(["sales.wide"], columns: "\"A b\" int, b numeric(10,2), c text[]")
      #expect(try await bench.syncDatabase().columns == 1)
      #expect(try await bench.columns("wide") == ["A b integer", "b numeric(10,2)", "c text[]"])
      for (change, columns) in [
        ("rename b to d", ["A b integer", "d numeric(10,2)", "c text[]"]),
        ("alter c type varchar(9)", ["A b integer", "d numeric(10,2)", "c character varying(9)"]),
        ("drop d", ["A b integer", "c character varying(9)"]),
        ("add e bool, drop \"A b\"", ["c character varying(9)", "e boolean"]),
      ] {
        try await bench.target.execute("alter table sales.wide \(change)")
        #expect(try await bench.syncDatabase().columns == 1, "\(change)")
        #expect(try await bench.columns("wide") == columns, "\(change)")
      }
      try await bench.target.execute("alter table sales.wide drop c, drop e")
      try await bench.sync(of: ["sales", "wide"])
      #expect(try await bench.columns("wide") == [])
    }
  }

  /// The greatest number among a table's columns stays as it is then.
  @Test func aColumnThatAnOlderTransactionChangedLaterIsSeen() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let (database, columns) = (bench.target.database, ["id integer", "w text"])
      try await bench.target.server.withAdmin(database) { old in
        try await old.execute("begin; select pg_current_xact_id()")
        try await bench.target.execute("alter table sales.orders alter id set not null, alter id drop default")
        try await bench.target.execute("alter table sales.orders alter id set default 7")
        #expect(try await bench.syncDatabase().columns == 1)
        try await old.execute("alter table sales.orders rename v to w; commit")
      }
      #expect(try await bench.syncDatabase().columns == 1)
      #expect(try await bench.columns("orders") == columns)
    }
  }

  @Test func aTypeThatWasRenamedIsShownByItsName() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.execute("create type sales.mood as enum ('good', 'bad')")
      try await bench.target.createTables(["sales.people"], columns: "m sales.mood")
      _ = try await bench.syncDatabase()
      try await bench.target.execute("alter type sales.mood rename to temper")
      _ = try await bench.syncDatabase()
      #expect(try await bench.columns("people") == ["m sales.temper"])
    }
  }

  @Test func aRestartedServerIsReadAgain() async throws {
    let server = try await TestServer.start()
    try await Bench.run(targetServer: server) { bench in
      _ = try await bench.makeSales()
      #expect(try await bench.syncDatabase().columns == 0)
      try await bench.execute("update securable set token_origin = 'another' where token_origin is not null")
      #expect(try await bench.syncDatabase().columns == 2)
    }
    await server.postgres.stop()
  }

  @Test func aPartIsFoundByIndex() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createSchema("many")
      try await bench.target.createTables((1...300).map { "many.t\($0)" }, columns: "v text")
      try await bench.target.execute("analyze pg_class; analyze pg_attribute; analyze pg_depend")
      try await bench.sync()
      for part in [["sales"], ["sales", "orders"]] {
        let scanned = try await bench.rowsScanned(part)
        #expect(scanned.relations == 2 - (part.count - 1) && scanned.rows == 0, "\(part): \(scanned)")
      }
      #expect(try await bench.rowsScanned([]).rows > 300)
    }
  }

  @Test func whatThePlatformsRolesOwnIsNotSynced() async throws {
    let server = try await TestServer.start()
    try await server.execute("create role databricks_control_plane")
    try await Bench.run(targetServer: server) { bench in
      try await bench.target.execute(
        """
        create schema internal authorization databricks_control_plane;
        create schema sales; create table sales.theirs (); create table internal.t (); create table sales.ours ();
        alter table sales.theirs owner to databricks_control_plane;
        alter database \(bench.target.otherDatabase) owner to databricks_control_plane;
        """)
      try await bench.sync()
      let found = try await bench.metadata.read { session in
        try await session.securables(below: try SecurablePath(parts: [bench.connection.name]), depth: 3)
      }
      #expect(
        found.map { $0.path.parts.dropFirst().joined(separator: ".") }.filter { !$0.hasSuffix("public") }
          == [bench.target.database, "\(bench.target.database).sales", "\(bench.target.database).sales.ours"])
      try await bench.target.execute("drop owned by databricks_control_plane cascade")
      try await bench.target.execute("alter database \(bench.target.otherDatabase) owner to postgres")
    }
    await server.postgres.stop()
  }

  @Test func aDatabaseWithMoreRelationsThanTheLimitIsNotSyncedInPart() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createTables((1...5).map { "sales.t\($0)" })
      var limits = SyncLimits()
      limits.mostRelations = 6
      let result = try await bench.runSync(limits: limits)
      #expect(result.outcome == .discarded && result.error?.contains("more than 6 relations") == true)
      #expect(try await bench.relations() == ["items", "orders"])
      limits.mostRelations = 7
      #expect(try await bench.runSync(limits: limits).outcome == .completed)
      #expect(try await bench.relations().count == 7)
    }
  }

  @Test func aLongSyncSaysHowFarItIs() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createTables(["sales.more"])
      let progress = JobProgress()
      try await bench.metadata.transaction { blocker in
        try await blocker.connection.execute("lock table relation_columns in share mode")
        async let result = bench.runSync(progress: progress)
        // no event: a job that writes waits for a lock, of which only the server knows
        while try await bench.waitingForLocks() == 0 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(progress.all.values.first == "3 relations found")
        try await blocker.connection.execute("rollback; begin")
        #expect(try await result.outcome == .completed)
      }
      #expect(progress.all.isEmpty)
    }
  }
}

extension Bench {
  fileprivate struct Summary: Decodable {
    let found: Int
    let columns: Int
    let submitted: [String]
  }

  /// Syncs the whole main database; what follows runs too.
  fileprivate func syncDatabase() async throws -> Summary {
    let path = try SecurablePath(parts: [connection.name, target.database])
    let sync = try await metadata.transaction { try await $0.submitSync(of: path, evenInactive: false) }
    try await drain()
    let job = try await job(sync.id)
    #expect(job.state == .completed, "\(job.error ?? "")")
    return try JSONDecoder().decode(Summary.self, from: Data((job.result ?? "").utf8))
  }

  /// Runs a sync of the main database alone.
  fileprivate func runSync(
    limits: SyncLimits = SyncLimits(), progress: JobProgress = JobProgress()
  ) async throws -> JobResult {
    let path = try SecurablePath(parts: [connection.name, target.database])
    let sync = try await metadata.transaction { try await $0.submitSync(of: path, evenInactive: false) }
    let lanes = LaneRun(
      metadata: metadata, targets: targets, worker: "bench", logger: Self.quiet, syncLimits: limits, progress: progress)
    let fence = nextFence()
    let open = try await lanes.open(lane: sync.lane)
    let claim = try await metadata.transaction { try await $0.claim([sync.id], fence: fence, worker: "bench") }
    let results = try await lanes.run(claim.claimed, in: open)
    await open.close()
    _ = try await metadata.transaction { try await $0.settle(results, fence: fence) }
    return try #require(results.first)
  }

  fileprivate func columns(_ table: String) async throws -> [String] {
    try await metadata.read { session in
      let id = try await session.securable(at: try self.path("sales", table)).id
      return try await session.columns(of: id).map { "\($0.name) \($0.type)" }
    }
  }

  fileprivate func relations() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query("select name from data_source order by name").rows.map { try $0.text("name") }
    }
  }

  /// Changes with every write to the tree.
  fileprivate func treeVersions() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query(
        """
        select 'securable ' || id || ' ' || xmin as version from securable
        union all select 'columns ' || securable_id || ' ' || xmin from relation_columns order by 1
        """
      ).rows.map { try $0.text("version") }
    }
  }

  fileprivate func waitingForLocks() async throws -> Int64 {
    try await target.server.withAdmin(metadata.configuration.database) { session in
      try await session.query(
        "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
      ).rows[0].int("n")
    }
  }

  /// How many relations a crawl of a part of the main database, or of all of it, finds, and how many rows of the
  /// target's catalog it goes through without an index.
  fileprivate func rowsScanned(_ parts: [String]) async throws -> (relations: Int, rows: Int64) {
    let securables = try await metadata.read { session in
      var found: [Securable] = []
      for count in 0..<parts.count {
        found.append(
          try await session.securable(
            at: try SecurablePath(parts: [self.connection.name, self.target.database] + parts[...count])))
      }
      return found
    }
    let session = try await targets.open(connection, database: target.database)
    let before = try await session.rowsScanned()
    let relations = try await metadata.transaction { metadata in
      var area: CatalogCrawl.Area?
      if let schema = securables.first {
        area = try await CatalogCrawl.area(
          of: CatalogCrawl.Part(
            schemaOID: schema.oid, schema: parts[0], relation: parts.count > 1 ? parts[1] : nil,
            relationOIDs: securables.dropFirst().map(\.oid)), in: session)
      }
      return try await CatalogCrawl.stage(area, of: session, in: metadata, limits: SyncLimits()) { _ in }
    }
    let rows = try await session.rowsScanned() - before
    await session.close()
    return (relations, rows)
  }
}

extension PostgresConnection {
  /// Rows of tables that the session's database has read by going through all of them, this session's included.
  fileprivate func rowsScanned() async throws -> Int64 {
    _ = try await query("select pg_stat_force_next_flush()")
    return try await query(
      """
      select sum(seq_tup_read)::bigint as rows from pg_stat_sys_tables where relname in ('pg_class', 'pg_attribute', 'pg_depend')
      """
    ).rows[0].int("rows")
  }
}
