import Governance
import Metadata
import Testing

/// Tokens tell what a sync need not read or write again.
@Suite(.timeLimit(.minutes(2)))
struct TokenTests {
  @Test func whatIsAsItWasIsNotReadAgain() async throws {
    try await Fixture.run { fixture in
      #expect(try await fixture.syncAll() == (false, [100, 101]))
      #expect(try await fixture.syncAll() == (true, []))
      let orders = try await fixture.id("warehouse/main/sales/orders")
      #expect(
        try await fixture.read { try await $0.columns(of: orders) }.map { "\($0.name) \($0.type)" } == ["id bigint"])
    }
  }

  @Test func onlyColumnsThatMovedAreReadAgain() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.syncAll()
      var moved = Fixture.tables
      moved[1].columnsToken = 5
      #expect(try await fixture.syncAll(relations: moved) == (false, [101]))
      #expect(try await fixture.syncAll(relations: moved) == (true, []))
    }
  }

  @Test(arguments: ["relation", "schema", "database", "added", "dropped", "schema dropped"])
  func whateverMovedIsLookedAt(what: String) async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.syncAll()
      var (schemas, relations, origin) = ([Fixture.sales], Fixture.tables, Fixture.origin)
      switch what {
      case "relation": relations[0].token += 1
      case "schema": schemas[0].token += 1
      case "database": origin = CrawlOrigin(text: origin.text, token: origin.token + 1)
      case "added": relations.append(Fixture.relation(102, "more"))
      case "dropped": relations.removeLast()
      default: (schemas, relations) = ([], [])
      }
      #expect(try await fixture.syncAll(schemas: schemas, relations: relations, origin: origin).isCurrent == false)
      #expect(try await fixture.syncAll(schemas: schemas, relations: relations, origin: origin).isCurrent)
    }
  }

  @Test func tokensOfAnotherOriginSayNothing() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.syncAll()
      let restored = CrawlOrigin(text: "there", token: 1)
      #expect(try await fixture.syncAll(origin: restored) == (false, [100, 101]))
      #expect(try await fixture.syncAll(origin: restored) == (true, []))
    }
  }

  @Test func aSyncOfOneTableHidesNoGrantFromTheNextOfAll() async throws {
    try await Fixture.run { fixture in
      _ = try await fixture.syncAll()
      var moved = Fixture.tables
      moved[0].token += 1
      let orders = try await fixture.id("warehouse/main/sales/orders")
      _ = try await fixture.sync(relations: [moved[0]], relation: orders)
      #expect(try await fixture.syncAll(relations: moved).isCurrent == false)
    }
  }
}
