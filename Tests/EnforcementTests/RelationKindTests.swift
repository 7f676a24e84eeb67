import Governance
import Metadata
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct RelationKindTests {
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
          "schema sales USAGE", "database this CONNECT",
        ])
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
}
