import Governance
import Metadata
import Platform
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SubscribeTests {
  @Test func syncFindsTheTables() async throws {
    try await Bench.run { bench in
      try await bench.target.createSchema("sales")
      try await bench.target.createTables(["sales.orders", "sales.items"])
      try await bench.sync()
      let found = try await bench.metadata.read {
        try await $0.securables(below: try SecurablePath(parts: [bench.connection.name]), depth: 3)
      }
      let main = try SecurablePath(parts: [bench.connection.name, bench.target.database])
      #expect(
        found.filter { main.isPrefix(of: $0.path) }.map { $0.path.parts.dropFirst(2).joined(separator: ".") }
          == ["", "public", "sales", "sales.items", "sales.orders"])
    }
  }

  @Test func readGrantsSelectWithItsPrerequisites() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeReadable()
      try await bench.subscribe(ana, to: ["sales.orders"])
      let jobs = try await bench.drain()
      #expect(jobs.map(\.state) == [.completed])
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.orders SELECT", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func writeGrantsTheSequencesOfSerialColumnsToo() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeReadable()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.orders SELECT", "table sales.orders INSERT", "table sales.orders UPDATE",
          "table sales.orders DELETE", "table sales.orders TRUNCATE", "sequence sales.orders_id_seq USAGE",
          "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func revokeTakesEverythingAndPrerequisitesLeaveWithTheLastGrant() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeReadable()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"], .write)
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.items"))
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.revoke(ana, from: ["sales.items"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }
}

extension Bench {
  /// Two tables, `sales.orders` and `sales.items`, synced, and a user without anything.
  func makeReadable() async throws -> String {
    try await target.createSchema("sales")
    try await target.createTables(["sales.orders", "sales.items"])
    try await sync()
    return try await addUser("ana")
  }
}
