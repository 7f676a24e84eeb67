import Governance
import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct RelationKindTests {
  /// A relation `sales.it` of a kind, and what reading and writing it come to beside SELECT on itself.
  struct Kind: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let script: String
    let writing: [String]
    /// A column that is written; nil where nothing can be.
    var column: String?
  }

  static let all = ["INSERT", "UPDATE", "DELETE", "TRUNCATE"].map { "table sales.it \($0)" }
  static let changing = ["INSERT", "UPDATE", "DELETE"].map { "table sales.it \($0)" }
  static let kinds = [
    Kind(testDescription: "table", script: "create table sales.it (id int, v text)", writing: all, column: "v"),
    Kind(
      testDescription: "table with two serial columns", script: "create table sales.it (a serial, b bigserial)",
      writing: all + ["sequence sales.it_a_seq USAGE", "sequence sales.it_b_seq USAGE"], column: "b"),
    Kind(
      testDescription: "table with another's sequence",
      script: "create table sales.it (like sales.orders including defaults)",
      writing: all + ["sequence sales.orders_id_seq USAGE"], column: "id"),
    Kind(
      testDescription: "table that inherits from one with a serial column",
      script: "create table sales.it (w text) inherits (sales.orders)",
      writing: all + ["sequence sales.orders_id_seq USAGE"], column: "id"),
    Kind(
      testDescription: "table with a sequence that no column owns",
      script: "create sequence sales.numbers; create table sales.it (id int default nextval('sales.numbers'))",
      writing: all + ["sequence sales.numbers USAGE"], column: "id"),
    Kind(
      testDescription: "table with an identity column",
      script: "create table sales.it (id bigint generated always as identity)", writing: all, column: "id"),
    Kind(
      testDescription: "table whose serial column lost its default",
      script: "create table sales.it (a serial); alter table sales.it alter a drop default, alter a drop not null",
      writing: all + ["sequence sales.it_a_seq USAGE"], column: "a"),
    Kind(
      testDescription: "partitioned table with a serial column",
      script: "create table sales.it (a serial, at int) partition by range (at);"
        + "create table sales.it_1 partition of sales.it default",
      writing: all + ["sequence sales.it_a_seq USAGE"], column: "at"),
    Kind(
      testDescription: "view", script: "create view sales.it as select * from sales.orders",
      writing: changing + ["sequence sales.orders_id_seq USAGE"], column: "v"),
    Kind(
      testDescription: "view of a view, with a default of its own",
      script: "create view sales.one as select v from sales.orders; create view sales.it as select v from sales.one;"
        + "create sequence sales.own; alter view sales.it alter v set default nextval('sales.own')",
      writing: changing + ["sequence sales.orders_id_seq USAGE", "sequence sales.own USAGE"], column: "v"),
    Kind(
      testDescription: "view that cannot be written",
      script: "create view sales.it as select o.id from sales.orders o join sales.items i using (id)", writing: []),
    Kind(
      testDescription: "view with an INSTEAD OF trigger",
      script: "create view sales.it as select o.id from sales.orders o join sales.items i using (id);"
        + "create function sales.put() returns trigger language plpgsql as 'begin return new; end';"
        + "create trigger put instead of insert on sales.it for each row execute function sales.put()",
      writing: ["table sales.it INSERT"]),
    Kind(
      testDescription: "view over a foreign table without a handler",
      script: "create foreign data wrapper none; create server nowhere foreign data wrapper none;"
        + "create foreign table sales.far (v text) server nowhere; create view sales.it as select * from sales.far",
      writing: ["INSERT", "UPDATE", "DELETE"].map { "table sales.it \($0)" }),
    Kind(
      testDescription: "materialized view", script: "create materialized view sales.it as select * from sales.orders",
      writing: []),
    Kind(
      testDescription: "foreign table",
      script: "create foreign data wrapper none; create server nowhere foreign data wrapper none;"
        + "create foreign table sales.it (v text) server nowhere",
      writing: ["INSERT", "UPDATE", "DELETE"].map { "table sales.it \($0)" }),
  ]

  @Test(arguments: kinds)
  func aKindGetsWhatHasAnEffectOnItAndGivesItBack(kind: Kind) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation("sales.it", kind.script)
      try await bench.target.execute(
        "grant usage on all sequences in schema sales to \(bench.target.manager) with grant option")
      let reading: Set = ["table sales.it SELECT", "schema sales USAGE", "database this CONNECT"]
      try await bench.subscribe(ana, to: ["sales.it"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == reading)
      try await bench.subscribe(ana, to: ["sales.it"], .write)
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == reading.union(kind.writing))
      if !kind.testDescription.contains("foreign") {
        try await bench.target.use("sales.it", as: ana, column: kind.column)
      }
      let before = try await bench.target.catalogVersions()
      try await bench.subscribe(ana, to: ["sales.it"], .write)
      try await bench.drain()
      #expect(try await bench.target.catalogVersions() == before)
      try await bench.revoke(ana, from: ["sales.it"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aViewThatCannotBeWrittenIsToldOf() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation(
        "sales.both", "create view sales.both as select o.id from sales.orders o join sales.items i using (id)")
      let job = try await bench.subscribe(ana, to: ["sales.both"], .write)[0]
      try await bench.drain()
      let result = try await bench.job(job.id).result
      #expect(result?.contains("cannot be written") == true, "\(result ?? "")")
    }
  }

  /// On Lakebase nobody has the grant option on foreign tables but their owner.
  @Test func aForeignTableWithoutTheGrantOptionIsReported() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        "create foreign data wrapper none; create server nowhere foreign data wrapper none;"
          + "create foreign table sales.far (v text) server nowhere;"
          + "grant select on sales.far to \(bench.target.manager)")
      try await bench.sync()
      let jobs = try await bench.subscribe(ana, to: ["sales.far", "sales.orders"])
      try await bench.drain()
      let refused = try await bench.job(jobs[0].id)
      #expect(refused.state == .discarded)
      #expect(refused.remedy?.contains("WITH GRANT OPTION") == true, "\(refused.error ?? "")")
      #expect(try await bench.job(jobs[1].id).state == .completed)
    }
  }

  /// As synced tables are, which their pipeline makes again whenever it likes.
  @Test func aTableMadeAgainBehindOurBackIsGrantedAgainOnceAJobFindsOut() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let bo = try await bench.addUser("bo")
      let make = "create table sales.synced (id int, v text) partition by list (id)"
      try await bench.makeRelation("sales.synced", make)
      try await bench.subscribe(ana, to: ["sales.synced"])
      try await bench.drain()
      try await bench.target.execute(
        "drop table sales.synced; \(make); grant select on sales.synced to \(bench.target.manager) with grant option")
      try await bench.subscribe(bo, to: ["sales.synced"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.synced"))
      #expect(try await bench.target.canRead(bo, "sales.synced"))
    }
  }

  /// A synced table is partitioned, its pipeline's role owns it, and makes it again with all that is in it.
  @Test func aSyncedTableMadeAgainIsGrantedAgainAndRevokedAfterwards() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let (bo, cy) = (try await bench.addUser("bo"), try await bench.addUser("cy"))
      let (writer, manager) = ("databricks_writer_\(bench.target.prefix)", bench.target.manager)
      let make = """
        create table sales.synced (id int, v text) partition by range (id);
        create table sales.synced_1 partition of sales.synced for values from (0) to (10);
        create table sales.synced_2 partition of sales.synced default; reset role;
        grant select, insert, update, delete, truncate on sales.synced to \(manager) with grant option
        """
      try await bench.target.execute(
        "create role \(writer); grant create, usage on schema sales to \(writer); set role \(writer); \(make)")
      try await bench.sync()
      try await bench.addGroup("analysts", [bo, cy])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      try await bench.evaluate()
      try await bench.subscribe(ana, to: ["sales.synced"], .write)
      try await bench.drain()
      try await bench.target.execute("set role \(writer); drop table sales.synced; \(make)")
      #expect(try await bench.target.canRead(bo, "sales.synced") == false)
      try await bench.sync()
      for user in [ana, bo, cy] { #expect(try await bench.target.canRead(user, "sales.synced"), "\(user)") }
      #expect(try await bench.target.canWrite(ana, "sales.synced"))

      try await bench.target.execute("set role \(writer); drop table sales.synced; \(make)")
      try await bench.revoke(ana, from: ["sales.synced"])
      try await bench.leaveGroup("analysts", bo)
      let jobs = try await bench.evaluate()
      #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
      try await bench.sync()
      for part in ["synced", "synced_1", "synced_2"] {
        for user in [ana, bo] { #expect(try await bench.target.canRead(user, "sales.\(part)") == false, "\(user)") }
      }
      #expect(try await bench.target.canRead(cy, "sales.synced"))
      #expect(try await bench.target.grants(to: ana) == [])
      try await bench.target.execute("drop owned by \(writer) cascade; drop role \(writer)")
    }
  }

  @Test func aPartitionedTableIsGrantedOnItsParentOnly() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation(
        "sales.events",
        "create table sales.events (at int) partition by range (at);"
          + "create table sales.events_1 partition of sales.events for values from (0) to (9)")
      try await bench.subscribe(ana, to: ["sales.events"], .write)
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.events"))
      #expect(try await bench.target.canRead(ana, "sales.events_1") == false)
    }
  }

  @Test func partitionsAreNoDataSources() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.makeRelation(
        "sales.events",
        "create table sales.events (at int) partition by range (at);"
          + "create table sales.events_1 partition of sales.events for values from (0) to (9)")
      let path = try bench.path("sales", "events_1")
      await #expect(throws: MetadataError.self) { try await bench.metadata.read { try await $0.securable(at: path) } }
    }
  }

  @Test func aViewIsWrittenWithoutTruncate() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation("sales.view", "create view sales.view as select * from sales.orders")
      try await bench.subscribe(ana, to: ["sales.view"], .write)
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.view SELECT", "table sales.view INSERT", "table sales.view UPDATE", "table sales.view DELETE",
          "sequence sales.orders_id_seq USAGE", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  /// Whatever takes the access away, and in whatever order.
  @Test(arguments: [["sales.orders", "sales.view"], ["sales.view", "sales.orders"]], [true, false])
  func aSequenceThatServesTwoTablesIsKeptUntilTheLast(order: [String], isRevoked: Bool) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation("sales.view", "create view sales.view as select * from sales.orders")
      for table in order {
        try await bench.subscribe(ana, to: [table], .write)
        try await bench.drain()
      }
      for (table, isLast) in zip(order, [false, true]) {
        if isRevoked { try await bench.revoke(ana, from: [table]) } else { try await bench.disable(table) }
        try await bench.drain()
        #expect(try await bench.target.grants(to: ana).contains("sequence sales.orders_id_seq USAGE") == !isLast)
        try await bench.compareEverything()
        #expect(try await bench.target.grants(to: ana).contains("sequence sales.orders_id_seq USAGE") == !isLast)
      }
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aMaterializedViewIsOnlyEverRead() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation(
        "sales.kept", "create materialized view sales.kept as select * from sales.orders")
      try await bench.subscribe(ana, to: ["sales.kept"], .write)
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.kept SELECT", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func anIdentityColumnNeedsNoGrantOnItsSequence() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.makeRelation(
        "sales.numbered", "create table sales.numbered (id bigint generated always as identity, v text)")
      try await bench.subscribe(ana, to: ["sales.numbered"], .write)
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana).contains { $0.hasPrefix("sequence") } == false)
    }
  }
}

extension Bench {
  /// Makes a relation that the manager may grant on, and syncs.
  fileprivate func makeRelation(_ name: String, _ script: String) async throws {
    try await target.execute(
      "\(script); grant select, insert, update, delete, truncate on \(name) to \(target.manager) with grant option")
    try await sync()
  }

  fileprivate func disable(_ table: String) async throws {
    let parts = table.split(separator: ".").map(String.init)
    try await metadata.transaction { session in
      let id = try await session.securable(at: try self.path(parts[0], parts[1])).id
      _ = try await session.set(.disabled, on: id)
      if let changed = try await session.securable(id: id) { try await session.submitReach(of: changed) }
    }
  }
}

extension TestTarget {
  /// Reads, and writes where there is a column to write, as somebody.
  fileprivate func use(_ table: String, as user: String, column: String?) async throws {
    var statements = ["set role \(user)", "select * from \(table)"]
    if let column {
      statements += [
        "insert into \(table) default values", "update \(table) set \(column) = default where true",
        "delete from \(table) where true",
      ]
    }
    try await execute(statements.joined(separator: "; "))
  }
}
