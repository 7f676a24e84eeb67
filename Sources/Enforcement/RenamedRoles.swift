import Governance
import Metadata
import Postgres

/// Roles that Sluice made and somebody renamed: they have their grants and members still, which nobody would find by name.
extension TargetRoles {
  /// What those of these audiences, or of all, are called now that bear another name.
  func renamed(_ audiences: [RoleName]? = nil) async throws -> [RoleName: RoleName] {
    let made = try await metadata.read {
      try await $0.madeAudiences(of: connection.id, among: audiences?.map(\.value))
    }
    guard !made.isEmpty else { return [:] }
    let rows = try await session.queryPrepared(
      statement(PackageResources.renamed_roles_sql),
      [.int8Array(made.map { Int64($0.oid) }), .textArray(made.map(\.role))]
    ).rows
    return try Dictionary(
      uniqueKeysWithValues: rows.map { (try RoleName(try $0.text("name")), try RoleName(try $0.text("is_called"))) })
  }

  /// What became of the names.
  struct Naming: Sendable {
    /// What audiences were called that had lost their names.
    fileprivate(set) var renamed: [RoleName: RoleName] = [:]
    /// Why they have not got them back.
    fileprivate(set) var failures: [RoleName: Failure] = [:]
    fileprivate(set) var statements: [String] = []
  }

  /// Gives those of these audiences, or of all, that somebody renamed their names back.
  func restoreNames(of audiences: [RoleName]? = nil) async throws -> Naming {
    var naming = Naming()
    naming.renamed = try await renamed(audiences)
    for (role, present) in naming.renamed.sorted(by: { $0.key < $1.key }) {
      let texts = try await statements(naming: present, role)
      do {
        _ = try await session.savepoint { try await $0.pipeline(texts.map { PostgresStatement($0) }) }
        naming.statements += texts
      } catch let error as PostgresError {
        guard await session.isInTransaction, error.code == .server, error.sqlState != .queryCanceled else {
          throw error
        }
        naming.failures[role] = .renamed(role, to: present, error)
      }
    }
    return naming
  }

  /// Whoever administers the role renames it.
  func statements(naming present: RoleName, _ role: RoleName) async throws -> [String] {
    let marks = try await marks(of: [present])
    return try GrantStatements.acting(
      as: marks.administered.contains(present) ? marks.policyRole : nil,
      [try GrantStatements.rename(present, to: role)])
  }
}

extension Failure {
  fileprivate static func renamed(_ role: RoleName, to present: RoleName, _ error: PostgresError) -> Failure {
    let failure = Failure(error)
    return Failure(
      failure.kind,
      "role \"\(role)\" was renamed to \"\(present)\", and did not get its name back: \(failure.message)",
      remedy: "have somebody with ADMIN on it run: ALTER ROLE … RENAME TO …, or drop it; then retry the job")
  }
}
