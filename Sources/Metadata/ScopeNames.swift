import Governance
import Postgres

/// What the numbers in the scopes of jobs are called, so that people need not look them up.
package struct ScopeNames: Sendable {
  private var users: [Int64: String] = [:]
  private var paths: [Int64: String] = [:]
  private var audiences: [Int64: String] = [:]

  /// Nil for a user who was removed since.
  package func user(of scope: JobScope) -> String? { scope.identity.flatMap { users[$0] } }
  /// The path as of the last sync, percent-encoded where needed; also of what was dropped since.
  package func path(of scope: JobScope) -> String? { scope.securable.flatMap { paths[$0] } }
  /// The role of the audience; nil for one that is no longer needed.
  package func audience(of scope: JobScope) -> String? { scope.audience.flatMap { audiences[$0] } }

  fileprivate mutating func add(_ row: PostgresRow) throws {
    let id = try row.int("id")
    switch try row.text("family") {
    case "user": users[id] = try row.text("name")
    case "audience": audiences[id] = try row.text("name")
    default: paths[id] = try SecurablePath(parts: try row.textArray("parts")).description
    }
  }
}

extension MetadataSession {
  /// The names in the scopes of these jobs, in one statement.
  package func scopeNames(of jobs: [Job]) async throws -> ScopeNames {
    try await scopeNames(of: jobs.map(\.scope))
  }

  package func scopeNames(of scopes: [JobScope]) async throws -> ScopeNames {
    var names = ScopeNames()
    for row in try await connection.query(
      statement(PackageResources.list_scope_names_sql),
      [
        .int8Array(scopes.compactMap(\.identity)), .int8Array(scopes.compactMap(\.securable)),
        .int8Array(scopes.compactMap(\.audience)),
      ]
    ).rows { try names.add(row) }
    return names
  }
}
