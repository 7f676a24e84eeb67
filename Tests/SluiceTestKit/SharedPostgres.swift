import Foundation
import Glibc
import LocalServers
import Metadata
import Platform
import Postgres

/// The PostgreSQL that all tests of this process share: started by the first that needs it, gone with the process.
package enum SharedPostgres {
  package static let superuser = "postgres"
  private static let template = "sluice_template"
  private static let directoryPrefix = "sluice-tests-"

  private static let start = Task<PrivatePostgres, any Error> {
    removeDirectoriesOfTheDead()
    let server = try await PrivatePostgres.start(
      PrivatePostgres.Options(
        directory: "/tmp/\(directoryPrefix)\(getpid())", installation: try await .find(atLeast: 16),
        settings: ["max_connections": "400", "autovacuum": "off", "log_min_messages": "fatal"], durable: false))
    let admin = try await PostgresConnection.connect(configuration(of: server, database: "postgres"))
    // Databases are listed by whoever may connect to them: tests must not see each other's.
    try await admin.execute("revoke connect on database postgres, template1 from public")
    await admin.close()
    return server
  }

  private static let migrate = Task<Void, any Error> {
    try await createDatabase(template)
    let session = try await admin(template)
    _ = try await Schema.migrator.migrate(on: session)
    await session.close()
  }

  package static var server: PrivatePostgres { get async throws { try await start.value } }

  package static func configuration(database: String = "postgres") async throws -> PostgresConfiguration {
    configuration(of: try await server, database: database)
  }

  private static func configuration(of server: PrivatePostgres, database: String) -> PostgresConfiguration {
    PostgresConfiguration(
      host: server.socketDirectory, port: server.port, database: database, user: superuser, tls: .disable)
  }

  /// A superuser's session.
  package static func admin(_ database: String = "postgres") async throws -> PostgresConnection {
    try await PostgresConnection.connect(try await configuration(database: database))
  }

  package static func execute(_ script: String, in database: String = "postgres") async throws {
    let session = try await admin(database)
    do { try await session.execute(script) } catch {
      await session.close()
      throw error
    }
    await session.close()
  }

  package static func createDatabase(_ name: String, template: String? = nil) async throws {
    let limit = Deadline.after(.seconds(30))
    while true {
      do {
        // Closed until nobody else may enter, or another test's sync would list it.
        let source = template.map { " template \($0)" } ?? ""
        try await execute("create database \(name)\(source) allow_connections false")
        try await execute("revoke connect on database \(name) from public")
        return try await execute("alter database \(name) allow_connections true")
      } catch let error as PostgresError where error.sqlState == .objectInUse && !limit.hasPassed {
        // The session that migrated the template ends after its socket was closed; nobody tells when.
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  package static func dropDatabase(_ name: String) async throws {
    try await execute("drop database if exists \(name) with (force)")
  }

  /// A migrated metadata database of a test's own.
  package static func createMetadata() async throws -> String {
    try await migrate.value
    let name = "metadata_\(UInt64.random(in: 0 ... .max))"
    try await createDatabase(name, template: template)
    // Names of roles are made from it, and all tests share an instance.
    try await execute("update installation set id = gen_random_uuid()", in: name)
    return name
  }

  /// Files of test processes that were killed; their servers ended with them.
  private static func removeDirectoriesOfTheDead() {
    // best effort: what cannot be listed or removed is in nobody's way
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? [] {
      guard name.hasPrefix(directoryPrefix), let pid = pid_t(name.dropFirst(directoryPrefix.count)),
        kill(pid, 0) != 0
      else { continue }
      // best effort: as above
      try? FileManager.default.removeItem(atPath: "/tmp/\(name)")
    }
  }
}

/// Runs `body` on a migrated metadata database of its own.
package func withMetadata<Value: Sendable>(
  connections: Int = 6, _ body: @Sendable (MetadataDatabase) async throws -> Value
) async throws -> Value {
  let name = try await SharedPostgres.createMetadata()
  let metadata = MetadataDatabase(
    configuration: try await SharedPostgres.configuration(database: name), connections: connections)
  do {
    let value = try await body(metadata)
    await metadata.shutDown()
    try await SharedPostgres.dropDatabase(name)
    return value
  } catch {
    await metadata.shutDown()
    throw error
  }
}
