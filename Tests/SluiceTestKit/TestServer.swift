import Foundation
import Glibc
import LocalServers
import Metadata
import Platform
import Postgres

/// A PostgreSQL of the tests' own, in a directory that goes with the process.
package struct TestServer: Sendable {
  package let postgres: PrivatePostgres
  private static let superuser = "postgres"
  private static let directoryPrefix = "sluice-tests-"
  private static let template = "sluice_template"

  /// The one that all tests of this process share: started by the first that needs it, gone with the process.
  package static var shared: TestServer {
    get async throws { try await sharedStart.value }
  }

  private static let sharedStart = Task<TestServer, any Error> {
    removeDirectoriesOfTheDead()
    return try await start(name: "shared")
  }

  private static let sharedTemplate = Task<Void, any Error> {
    let server = try await shared
    try await server.createDatabase(template)
    try await server.migrate(template)
  }

  /// One for a test that stops it.
  package static func start(name: String = "\(UInt32.random(in: 0 ... .max))") async throws -> TestServer {
    let postgres = try await PrivatePostgres.start(
      PrivatePostgres.Options(
        directory: "/tmp/\(directoryPrefix)\(getpid())-\(name)", installation: try await installation(),
        settings: ["max_connections": "400", "autovacuum": "off", "log_min_messages": "fatal"], durable: false))
    let server = TestServer(postgres: postgres)
    // Databases are listed by whoever may connect to them: tests must not see each other's.
    try await server.execute("revoke connect on database postgres, template1 from public")
    return server
  }

  /// The server that `SLUICE_TEST_POSTGRES` names by its version (15 to 18); else 17, or what is newest.
  private static func installation() async throws -> PostgresInstallation {
    guard let chosen = ProcessInfo.processInfo.environment["SLUICE_TEST_POSTGRES"], !chosen.isEmpty else {
      return try await .find(atLeast: 16, preferring: 17)
    }
    guard let version = Int(chosen) else { throw BenchError(text: "SLUICE_TEST_POSTGRES is \(chosen), no version") }
    return try await .find(exactly: version)
  }

  /// Files of test processes that have ended; their servers ended with them.
  private static func removeDirectoriesOfTheDead() {
    // best effort: what cannot be listed or removed is in nobody's way
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? [] {
      guard name.hasPrefix(directoryPrefix),
        let pid = name.dropFirst(directoryPrefix.count).split(separator: "-").first.flatMap({ pid_t($0) }),
        kill(pid, 0) != 0
      else { continue }
      // best effort: as above
      try? FileManager.default.removeItem(atPath: "/tmp/\(name)")
    }
  }
}

// Sessions and databases.
extension TestServer {
  /// From 16 on a membership says whether it is inherited, and whether the member may become the role.
  package var hasMembershipOptions: Bool { postgres.options.installation.version >= 16 }

  package func configuration(database: String = "postgres") -> PostgresConfiguration {
    PostgresConfiguration(
      host: postgres.socketDirectory, port: postgres.port, database: database, user: Self.superuser, tls: .disable)
  }

  /// A superuser's session.
  package func admin(_ database: String = "postgres") async throws -> PostgresConnection {
    try await PostgresConnection.connect(configuration(database: database))
  }

  /// Lends a superuser's session.
  package func withAdmin<Value: Sendable>(
    _ database: String = "postgres", _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    let session = try await admin(database)
    do {
      let value = try await body(session)
      await session.close()
      return value
    } catch {
      await session.close()
      throw error
    }
  }

  package func execute(_ script: String, in database: String = "postgres") async throws {
    _ = try await withAdmin(database) { try await $0.execute(script) }
  }

  package func createDatabase(_ name: String, template: String? = nil) async throws {
    let source = template.map { " template \($0)" } ?? ""
    let limit = Deadline.after(.seconds(30))
    while true {
      do {
        // Closed until nobody else may enter, or another test's sync would list it.
        try await execute("create database \(name)\(source) allow_connections false")
        try await execute("revoke connect on database \(name) from public")
        return try await execute("alter database \(name) allow_connections true")
      } catch let error as PostgresError where error.sqlState == .objectInUse && !limit.hasPassed {
        // no event: the session that migrated the template ends after its socket was closed, untold
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  package func dropDatabase(_ name: String) async throws {
    try await execute("drop database if exists \(name) with (force)")
  }

  private func migrate(_ name: String) async throws {
    _ = try await withAdmin(name) { try await Schema.migrator.migrate(on: $0) }
  }

  /// A migrated metadata database of a test's own.
  fileprivate func createMetadata(isShared: Bool) async throws -> String {
    let name = "metadata_\(UInt64.random(in: 0 ... .max))"
    guard isShared else {
      try await createDatabase(name)
      try await migrate(name)
      return name
    }
    try await Self.sharedTemplate.value
    try await createDatabase(name, template: Self.template)
    // Names of roles are made from it, and all tests share an instance.
    try await execute("update installation set id = gen_random_uuid()", in: name)
    return name
  }
}

/// Runs `body` on a migrated metadata database of its own, in the shared server or in another, which may have a standby.
package func withMetadata<Value: Sendable>(
  on server: TestServer? = nil, standby: TestServer? = nil, connections: Int = 8,
  _ body: @Sendable (MetadataDatabase) async throws -> Value
) async throws -> Value {
  let isShared = server == nil
  let server = if let server { server } else { try await TestServer.shared }
  let name = try await server.createMetadata(isShared: isShared)
  let configuration =
    if let standby { server.configuration(database: name, orOf: standby) } else { server.configuration(database: name) }
  let metadata = MetadataDatabase(configuration: configuration, connections: connections)
  do {
    let value = try await body(metadata)
    await metadata.shutDown()
    // A server with a standby is of the test's own, and may be gone.
    if standby == nil { try await server.dropDatabase(name) }
    return value
  } catch {
    await metadata.shutDown()
    throw error
  }
}
