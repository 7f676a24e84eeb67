import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Migrating {
    private static let first = Migration(version: 1, name: "create item", sql: "CREATE TABLE item (id int)")
    private static let second = Migration(
      version: 2, name: "name items", sql: "ALTER TABLE item ADD name text; CREATE INDEX ON item (name)")

    @Test func secondRunAppliesNothing() async throws {
      let connection = try await connectionToNewDatabase()
      let migrator = Migrator(migrations: [Self.second, Self.first])
      #expect(try await migrator.state(on: connection) == .empty)
      #expect(try await migrator.migrate(on: connection) == [1, 2])
      #expect(try await migrator.migrate(on: connection) == [])
      #expect(try await migrator.state(on: connection) == .current)
    }

    @Test func olderDatabaseIsBehindAndIsBroughtForward() async throws {
      let connection = try await connectionToNewDatabase()
      _ = try await Migrator(migrations: [Self.first]).migrate(on: connection)
      let migrator = Migrator(migrations: [Self.first, Self.second])
      #expect(try await migrator.state(on: connection) == .behind(from: 1, to: 2))
      #expect(try await migrator.migrate(on: connection) == [2])
    }

    @Test func twoMigratorsApplyEachMigrationOnce() async throws {
      let configuration = try await PrivateServer.running.newDatabase()
      let connection = try await PostgresConnection.connect(configuration)
      let other = try await PostgresConnection.connect(configuration)
      let migrator = Migrator(migrations: [Self.first, Self.second])
      async let mine = migrator.migrate(on: connection)
      async let theirs = migrator.migrate(on: other)
      #expect(try await (mine + theirs).sorted() == [1, 2])
    }

    @Test func newerDatabaseIsRefused() async throws {
      let connection = try await connectionToNewDatabase()
      _ = try await Migrator(migrations: [Self.first, Self.second]).migrate(on: connection)
      let migrator = Migrator(migrations: [Self.first])
      #expect(try await migrator.state(on: connection) == .ahead(found: 2))
      #expect(await failure { _ = try await migrator.migrate(on: connection) }?.code == .configuration)
    }

    @Test func changedMigrationIsRefused() async throws {
      let connection = try await connectionToNewDatabase()
      _ = try await Migrator(migrations: [Self.first]).migrate(on: connection)
      let changed = Migration(version: 1, name: "create item", sql: "CREATE TABLE item (id bigint)")
      let migrator = Migrator(migrations: [changed, Self.second])
      #expect(try await migrator.state(on: connection) == .changed(version: 1))
      #expect(await failure { _ = try await migrator.migrate(on: connection) }?.code == .configuration)
    }

    @Test func brokenMigrationLeavesNoTrace() async throws {
      let connection = try await connectionToNewDatabase()
      let broken = Migration(version: 2, name: "broken", sql: "CREATE TABLE other (id int); SELECT * FROM nowhere")
      let migrator = Migrator(migrations: [Self.first, broken])
      #expect(await failure { _ = try await migrator.migrate(on: connection) }?.sqlState == .undefinedTable)
      #expect(try await migrator.state(on: connection) == .behind(from: 1, to: 2))
      #expect(try await connection.query("SELECT to_regclass('other') AS t").rows.first?.optionalText("t") == nil)
    }

    private func connectionToNewDatabase() async throws -> PostgresConnection {
      try await PostgresConnection.connect(PrivateServer.running.newDatabase())
    }
  }

  @Suite struct Quoting {
    @Test(arguments: ["plain", "with \"quotes\"", "Größe 🧀", "; DROP TABLE x --", String(repeating: "x", count: 63)])
    func quotedNameReachesTheServerAsItIs(name: String) async throws {
      let connection = try await PrivateServer.running.connect()
      let identifier = try PostgresIdentifier(name)
      let result = try await connection.query("SELECT 1 AS \(identifier.quoted)")
      #expect(result.rows.first?.columnNames == [name])
    }

    @Test(arguments: ["plain", "it's", "back\\slash", "\\'; DROP TABLE x --", ""], ["on", "off"])
    func quotedLiteralReachesTheServerAsItIs(text: String, conforming: String) async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("SET standard_conforming_strings = \(conforming)")
      let literal = try PostgresLiteral(text).quoted
      #expect(try await connection.query("SELECT\(literal) AS text").rows.first?.text("text") == text)
    }
  }
}
