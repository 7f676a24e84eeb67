import Governance
import Metadata
import Postgres
import SluiceTestKit
import Testing

/// Names as people give them, and names that change under our feet.
@Suite(.timeLimit(.minutes(2)))
struct NameTests {
  @Test(arguments: ["Quo\"ted", "sélect 🦊", "semi;colon--", "dots.and/slashes", "UPPER lower", "tab\there"])
  func aNameThatNeedsQuotingIsGrantedAndRevoked(name: String) async throws {
    try await Bench.run { bench in
      let quoted = try PostgresIdentifier(name).quoted
      try await bench.target.createSchema(quoted)
      try await bench.target.createTables(["\(quoted).\(quoted)"])
      try await bench.sync()
      let user = try await bench.addUser(name)
      let path = try bench.path(name, name)
      _ = try await bench.apply([SubscriptionRequest(kind: .subscribe, user: user, path: path, access: .write)])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.canWrite(user, "\(quoted).\(quoted)"))
      _ = try await bench.apply([SubscriptionRequest(kind: .revoke, user: user, path: path)])
      try await bench.drain()
      #expect(try await bench.target.grants(to: user) == [])
    }
  }

  @Test func aNameOfExactlySixtyThreeBytesIsTaken() async throws {
    try await Bench.run { bench in
      let long = String(repeating: "l", count: 63)
      try await bench.target.createSchema(long)
      try await bench.target.createTables(["\(long).\(long)"])
      try await bench.sync()
      let user = try await bench.addUser(String(repeating: "u", count: 62 - bench.target.prefix.utf8.count))
      #expect(user.utf8.count == 63)
      _ = try await bench.apply([
        SubscriptionRequest(kind: .subscribe, user: user, path: try bench.path(long, long), access: .read)
      ])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.canRead(user, "\(long).\(long)"))
    }
  }

  @Test func aTableRenamedSinceTheSyncIsStillTheOneMeant() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        "alter table sales.orders rename to renamed; alter table sales.items rename to orders")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "sales.renamed"))
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
    }
  }

  @Test func aTableMadeAgainUnderItsNameIsGrantedAgain() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("drop table sales.orders")
      try await bench.target.createTables(["sales.orders"])
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func aTableMovedToAnotherSchemaKeepsItsSubscriptions() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createSchema("archive")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("alter table sales.orders set schema archive")
      try await bench.sync()
      try await bench.subscribe(ana, to: ["archive.orders"])
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "archive.orders"))
      try await bench.revoke(ana, from: ["archive.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aTableMovedToAnotherSchemaIsStillReadable() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createSchema("archive")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("alter table sales.orders set schema archive")
      try await bench.sync(of: ["sales"])
      #expect(try await bench.target.canRead(ana, "archive.orders"))
    }
  }

  @Test func aSchemaRenamedSinceTheSyncKeepsItsTablesWhenItIsSyncedByItsOldName() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      let orders = try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "orders")).id }
      try await bench.target.execute("alter schema sales rename to trade")
      try await bench.sync(of: ["sales"])
      #expect(
        try await bench.metadata.read { try await $0.securable(at: try bench.path("trade", "orders")).id } == orders)
      #expect(try await bench.target.canRead(ana, "trade.orders"))
    }
  }

  @Test func aTableMovedIntoASchemaThatNoSyncHasSeenKeepsItsRow() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let orders = try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "orders")).id }
      try await bench.target.createSchema("archive")
      try await bench.target.execute("alter table sales.orders set schema archive")
      try await bench.sync(of: ["sales", "orders"])
      #expect(
        try await bench.metadata.read { try await $0.securable(at: try bench.path("archive", "orders")).id } == orders)
    }
  }

  @Test func aTableThatBecomesAPartitionLosesItsDirectGrantsAndGetsThemBackWhenItIsATableAgain() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute(
        "create table sales.all_orders (like sales.orders) partition by list (v); "
          + "alter table sales.all_orders attach partition sales.orders default")
      try await bench.sync()
      #expect(try await bench.target.grants(to: ana) == [])
      try await bench.target.execute("alter table sales.all_orders detach partition sales.orders")
      try await bench.sync()
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  /// How a table is partitioned under its own name: what it was goes on as a partition, which no sync lists.
  @Test(arguments: [[], ["sales"], ["sales", "orders"]])
  func aPartitionedTableInAnothersPlaceTakesItsSubscriptionsButNotItsGrants(part: [String]) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.target.execute(
        """
        alter table sales.orders rename to orders_p0; create table sales.orders (id int, v text) partition by list (v);
        alter table sales.orders attach partition sales.orders_p0 default;
        grant select, insert, update, delete, truncate on sales.orders to \(bench.target.grantor) with grant option
        """)
      if part.isEmpty { try await bench.sync() } else { try await bench.sync(of: part) }
      let grants = try await bench.target.grants(to: ana)
      #expect(grants.contains("table sales.orders INSERT"))
      #expect(grants.filter { $0.contains("orders_p0") || $0.hasPrefix("sequence") } == [])
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aTableThatTookANameFromOutsideItsSchemaIsFoundByASyncOfTheDatabase() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createSchema("archive")
      try await bench.target.createTables(["archive.orders"], columns: "v text")
      try await bench.sync()
      let ids = try await bench.metadata.read { session in
        [
          try await session.securable(at: try bench.path("sales", "orders")).id,
          try await session.securable(at: try bench.path("archive", "orders")).id,
        ]
      }
      try await bench.target.execute(
        "alter table archive.orders rename to older; alter table sales.orders set schema archive")
      try await bench.sync(of: ["sales"])
      let after = try await bench.metadata.read { session in
        [
          try await session.securable(at: try bench.path("archive", "orders")).id,
          try await session.securable(at: try bench.path("archive", "older")).id,
        ]
      }
      #expect(after == ids)
    }
  }

  @Test func aNewMappingTakesTheOldRolesAccessAndGivesItToTheNew() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let second = "\(bench.target.prefix)_second"
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.metadata.transaction { session in
        let identity = try await session.identity(named: ana)
        try await session.map(identity.id, on: bench.connection.id, to: .role(second))
        try await session.submitMapping(from: ana, to: second, on: bench.connection.id)
      }
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
      #expect(try await bench.target.canRead(second, "sales.orders"))
    }
  }

  @Test func aUserMappedToNoAccountLosesEverything() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"], .write)
      try await bench.drain()
      try await bench.metadata.transaction { session in
        let identity = try await session.identity(named: ana)
        try await session.map(identity.id, on: bench.connection.id, to: .noAccount)
        try await session.submitMapping(from: ana, to: nil, on: bench.connection.id)
      }
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }
}

extension Bench {
  /// Syncs a schema or table of the main database and runs what follows.
  func sync(of parts: [String]) async throws {
    let path = try SecurablePath(parts: [connection.name, target.database] + parts)
    _ = try await metadata.transaction { try await $0.submitSync(of: path, evenInactive: false) }
    #expect(try await drain().allSatisfy { $0.state == .completed })
  }
}
