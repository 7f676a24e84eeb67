import Governance
import Metadata
import Testing

/// The tree follows what crawls find: by OID first, then by name.
@Suite(.timeLimit(.minutes(2)))
struct TreeTests {
  @Test func aFirstSyncAddsEverything() async throws {
    try await Fixture.run { fixture async throws in
      #expect(try await fixture.names() == ["main", "main/sales", "main/sales/items", "main/sales/orders"])
    }
  }

  @Test func theSameAgainChangesNothing() async throws {
    try await Fixture.run { fixture async throws in
      #expect(try await fixture.sync().isEmpty)
      #expect(try await fixture.syncDatabases([Fixture.main]).isEmpty)
    }
  }

  @Test func aRenamedTableKeepsItsRow() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(relations: [Fixture.relation(100, "sold"), Fixture.tables[1]])
      #expect(changes.renamed == [orders] && changes.added.isEmpty && changes.dropped.isEmpty)
      #expect(try await fixture.id("warehouse/main/sales/sold") == orders)
    }
  }

  @Test func twoTablesThatSwapTheirNamesKeepTheirRows() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let items = try await fixture.id("warehouse/main/sales/items")
      let changes = try await fixture.sync(
        relations: [Fixture.relation(100, "items"), Fixture.relation(101, "orders")])
      #expect(Set(changes.renamed) == [orders, items])
      #expect(try await fixture.id("warehouse/main/sales/items") == orders)
    }
  }

  @Test func aTableMovedToAnotherSchemaKeepsItsRow() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let archive = CrawledSchema(oid: 11, name: "archive", owner: "o")
      let changes = try await fixture.sync(
        schemas: [Fixture.sales, archive],
        relations: [Fixture.relation(100, "orders", schema: 11), Fixture.tables[1]])
      #expect(changes.renamed == [orders] && changes.dropped.isEmpty)
      #expect(try await fixture.id("warehouse/main/archive/orders") == orders)
    }
  }

  @Test func aTableMovedOutOfASchemaThatIsThenDroppedKeepsItsRow() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(
        schemas: [CrawledSchema(oid: 11, name: "archive", owner: "o")],
        relations: [Fixture.relation(100, "orders", schema: 11)])
      #expect(changes.dropped.count == 2, "the schema and the other table")
      #expect(try await fixture.id("warehouse/main/archive/orders") == orders)
    }
  }

  @Test func aDroppedTableIsGone() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      #expect(try await fixture.sync(relations: [Fixture.tables[1]]).dropped == [orders])
      #expect(try await fixture.names() == ["main", "main/sales", "main/sales/items"])
    }
  }

  @Test func aTableMadeAgainUnderItsNameKeepsItsRowWithTheNewOID() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(relations: [Fixture.relation(200, "orders"), Fixture.tables[1]])
      #expect(changes.recreated == [orders] && changes.dropped.isEmpty && changes.added.isEmpty)
      #expect(try await fixture.read { try await $0.securable(id: orders) }?.oid == 200)
    }
  }

  @Test func aTableRenamedAwayAndItsNameTakenIsARenameAndANewOne() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(
        relations: [Fixture.relation(100, "old"), Fixture.relation(200, "orders"), Fixture.tables[1]])
      #expect(changes.renamed == [orders] && changes.added.count == 1 && changes.recreated.isEmpty)
    }
  }

  @Test func aSchemaMadeAgainKeepsItsRowAndItsTablesByName() async throws {
    try await Fixture.run { fixture in
      let sales = try await fixture.id("warehouse/main/sales")
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(
        schemas: [CrawledSchema(oid: 20, name: "sales", owner: "o")],
        relations: [Fixture.relation(200, "orders", schema: 20)])
      #expect(changes.recreated.contains(sales) && changes.recreated.contains(orders))
    }
  }

  @Test func aDroppedDatabaseTakesItsTreeWithIt() async throws {
    try await Fixture.run { fixture async throws in
      #expect(try await fixture.syncDatabases([]).dropped.count == 4)
      #expect(try await fixture.names() == [])
    }
  }

  @Test func aDatabaseRenamedAwayAndItsNameTakenKeepsItsRow() async throws {
    try await Fixture.run { fixture in
      let main = try await fixture.id("warehouse/main")
      let changes = try await fixture.syncDatabases([
        CrawledDatabase(oid: 1, name: "main_old", owner: "o"), CrawledDatabase(oid: 2, name: "main", owner: "o"),
      ])
      #expect(changes.renamed == [main] && changes.added.count == 1 && changes.dropped.isEmpty)
    }
  }

  @Test func twoDatabasesThatSwapTheirNamesKeepTheirRows() async throws {
    try await Fixture.run { fixture in
      let second = CrawledDatabase(oid: 2, name: "second", owner: "o")
      _ = try await fixture.syncDatabases([Fixture.main, second])
      let before = [try await fixture.id("warehouse/main"), try await fixture.id("warehouse/second")]
      _ = try await fixture.syncDatabases([
        CrawledDatabase(oid: 1, name: "second", owner: "o"), CrawledDatabase(oid: 2, name: "main", owner: "o"),
      ])
      #expect([try await fixture.id("warehouse/second"), try await fixture.id("warehouse/main")] == before)
    }
  }

  @Test func aDatabaseThatTakesTheNameOfADroppedOneKeepsItsOwnRow() async throws {
    try await Fixture.run { fixture in
      let second = CrawledDatabase(oid: 2, name: "second", owner: "o")
      _ = try await fixture.syncDatabases([Fixture.main, second])
      let id = try await fixture.id("warehouse/second")
      let changes = try await fixture.syncDatabases([CrawledDatabase(oid: 2, name: "main", owner: "o")])
      #expect(changes.renamed == [id] && changes.dropped.count == 4)
      #expect(try await fixture.id("warehouse/main") == id)
    }
  }

  @Test func twoSchemasThatSwapTheirNamesAreKnownBySyncingOne() async throws {
    try await Fixture.run { fixture in
      let archive = CrawledSchema(oid: 11, name: "archive", owner: "o")
      _ = try await fixture.sync(schemas: [Fixture.sales, archive])
      let (sales, other) = (
        try await fixture.id("warehouse/main/sales"), try await fixture.id("warehouse/main/archive")
      )
      // By the OID and by the name that the schema had.
      let changes = try await fixture.sync(
        schemas: [
          CrawledSchema(oid: 10, name: "archive", owner: "o"), CrawledSchema(oid: 11, name: "sales", owner: "o"),
        ], schema: sales)
      #expect(Set(changes.renamed) == [sales, other] && changes.added.isEmpty)
    }
  }

  @Test func aTableThatIsFoundAgainGetsItsRowBack() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.sync(relations: [Fixture.tables[1]])
      let changes = try await fixture.sync()
      #expect(changes.recreated == [orders] && changes.added.isEmpty)
      #expect(try await fixture.id("warehouse/main/sales/orders") == orders)
    }
  }

  @Test func anotherTableThatGotTheOIDOfADroppedOneIsNew() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.sync(relations: [Fixture.tables[1]])
      let changes = try await fixture.sync(relations: [Fixture.relation(100, "payroll"), Fixture.tables[1]])
      #expect(changes.added.count == 1 && changes.added != [orders] && changes.recreated.isEmpty)
    }
  }

  @Test func aRenamedDatabaseKeepsItsLane() async throws {
    try await Fixture.run { fixture in
      let lane = try await fixture.read { try await $0.lane(ofDatabase: try await fixture.id("warehouse/main")) }
      _ = try await fixture.syncDatabases([CrawledDatabase(oid: 1, name: "primary", owner: "o")])
      let renamed = try await fixture.read { try await $0.lane(id: lane.id) }
      #expect(renamed.databaseName == "primary" && renamed.id == lane.id)
    }
  }

  @Test func aSyncOfOneSchemaLeavesTheOthersAlone() async throws {
    try await Fixture.run { fixture in
      let archive = CrawledSchema(oid: 11, name: "archive", owner: "o")
      let old = Fixture.relation(300, "old", schema: 11)
      _ = try await fixture.sync(schemas: [Fixture.sales, archive], relations: Fixture.tables + [old])
      let sales = try await fixture.id("warehouse/main/sales")
      let changes = try await fixture.sync(relations: [Fixture.tables[0]], schema: sales)
      #expect(changes.dropped.count == 1)
      #expect(try await fixture.names().contains("main/archive/old"))
    }
  }

  @Test func aSyncOfOneTableLeavesItsNeighboursAlone() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(relations: [Fixture.relation(100, "sold")], relation: orders)
      #expect(changes.renamed == [orders] && changes.dropped.isEmpty)
      #expect(try await fixture.names().contains("main/sales/items"))
    }
  }

  @Test func aTableMovedToASchemaThatNoSyncHasSeenIsNotDropped() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      let changes = try await fixture.sync(relations: [Fixture.relation(100, "orders", schema: 77)], relation: orders)
      #expect(changes.isEmpty)
      #expect(try await fixture.id("warehouse/main/sales/orders") == orders)
    }
  }

  @Test func aSyncOfOneTableThatIsGoneDropsIt() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      #expect(try await fixture.sync(relations: [], relation: orders).dropped == [orders])
    }
  }
}

@Suite(.timeLimit(.minutes(2)))
struct SettingTests {
  private func enabled(_ fixture: Fixture) async throws -> [String] {
    try await fixture.rows("select name from data_source where enabled order by 1").map { try $0.text("name") }
  }

  @Test func theNearestLevelThatSaysSomethingDecides() async throws {
    try await Fixture.run { fixture in
      let main = try await fixture.id("warehouse/main")
      let sales = try await fixture.id("warehouse/main/sales")
      let orders = try await fixture.id("warehouse/main/sales/orders")
      #expect(try await enabled(fixture) == ["items", "orders"])
      _ = try await fixture.write { try await $0.set(.disabled, on: main) }
      #expect(try await enabled(fixture) == [])
      _ = try await fixture.write { try await $0.set(.enabled, on: sales) }
      #expect(try await enabled(fixture) == ["items", "orders"])
      _ = try await fixture.write { try await $0.set(.disabled, on: orders) }
      #expect(try await enabled(fixture) == ["items"])
      _ = try await fixture.write { try await $0.set(.inherit, on: orders) }
      #expect(try await enabled(fixture) == ["items", "orders"])
    }
  }

  @Test func theConnectionDecidesAboutNewDataSources() async throws {
    try await Fixture.run { fixture in
      try await fixture.execute("update connection set new_data_sources = 'disabled'")
      #expect(try await enabled(fixture) == [])
    }
  }

  @Test(arguments: [Connection.State.inactive, .deleting])
  func nothingIsEnabledOnAConnectionThatIsLeft(state: Connection.State) async throws {
    try await Fixture.run { fixture in
      try await fixture.execute("update connection set state = '\(state.rawValue)'")
      #expect(try await enabled(fixture) == [])
    }
  }

  @Test(arguments: [Connection.State.stopped, .unhealthy])
  func whatIsDesiredOutlivesAnOutage(state: Connection.State) async throws {
    try await Fixture.run { fixture in
      try await fixture.execute("update connection set state = '\(state.rawValue)'")
      #expect(try await enabled(fixture) == ["items", "orders"])
    }
  }

  @Test func theTreeShowsTheSameAsTheView() async throws {
    try await Fixture.run { fixture in
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.write { try await $0.set(.disabled, on: orders) }
      let tree = try await fixture.read { try await $0.securables(below: try SecurablePath("warehouse"), depth: 3) }
      #expect(tree.filter { $0.kind.isTableLike && $0.isEnabled }.map { $0.path.parts.last } == ["items"])
    }
  }
}
