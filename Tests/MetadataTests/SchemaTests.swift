import Foundation
import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SchemaTests {
  @Test func migrationsMakeAnEmptyDatabaseCurrentAndAgainDoNothing() async throws {
    let name = "empty_\(UInt64.random(in: 0 ... .max))"
    try await TestServer.shared.createDatabase(name)
    let session = try await TestServer.shared.admin(name)
    #expect(try await Schema.migrator.state(on: session) == .empty)
    #expect(try await Schema.migrator.migrate(on: session).isEmpty == false)
    try await Schema.requireCurrent(MetadataSession(connection: session))
    #expect(try await Schema.migrator.migrate(on: session).isEmpty)
    await session.close()
    try await TestServer.shared.dropDatabase(name)
  }

  @Test func anEmptyDatabaseIsRefusedWithTheCommandThatHelps() async throws {
    let session = try await TestServer.shared.admin()
    let error = await #expect(throws: MetadataError.self) {
      try await Schema.requireCurrent(MetadataSession(connection: session))
    }
    #expect(error?.code == .wrongVersion)
    #expect(error?.message.contains("sluice migrate") == true)
    await session.close()
  }

  @Test func everyStatementPrepares() async throws {
    try await withMetadata { metadata in
      try await metadata.read { session in
        // Tables that the sync of the tree makes for itself.
        let stage = try Statements.text("stage_crawl")
        for name in try Statements.names where name != "stage_crawl" {
          let text = try Statements.text(name)
          await #expect(throws: Never.self, "\(name).sql") {
            try await session.connection.transaction { connection in
              try await connection.execute(stage.replacing("on commit drop", with: ""))
              try await connection.execute(
                "prepare checked as \(text); deallocate checked; drop table crawled_schema, crawled_relation, crawled_columns"
              )
            }
          }
        }
      }
    }
  }
}

/// The module's statements, from the source tree: the embedded ones are its own affair.
private enum Statements {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appending(path: "../../Sources/Metadata/Statements")

  static var names: [String] {
    get throws {
      try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".sql") }
        .map { String($0.dropLast(".sql".count)) }.sorted()
    }
  }

  static func text(_ name: String) throws -> String {
    try String(contentsOf: directory.appending(path: "\(name).sql"), encoding: .utf8)
  }
}
