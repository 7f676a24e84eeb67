import Governance
import Metadata
import Platform
import Postgres

/// Dropping roles that Sluice made, once nothing in the instance refers to them any more.
extension RolesRun {
  /// Roles of one DROP ROLE statement.
  private static let together = 100

  /// Drops those of these audiences' roles that nothing asks for. While another database still grants to one, it stays:
  /// the run that takes the last grant away submits this again.
  func retire(_ roles: [String], _ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    let wanted = try await metadata.read { metadata in
      let rows = try await metadata.connection.query(
        "select role from audience where connection_id = $1 and role = any ($2)",
        [.int8(connection.id), .textArray(roles)]
      ).rows
      let obsolete = try await metadata.obsoleteAudiences(of: connection.id, roles: roles)
      return Set(try rows.map { try $0.text("role") }).subtracting(obsolete)
    }
    let unwanted = Set(roles).subtracting(wanted).sorted()
    try await drop(unwanted.map { ManagedRole(role: $0, kind: .audience, made: true) }, &outcome, in: session)
  }

  /// Drops those of the roles that are Sluice's and that nothing of others refers to; tells why the others stay.
  func drop(_ roles: [ManagedRole], _ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    guard !roles.isEmpty else { return }
    let names = Set(try roles.map { try RoleName($0.role) })
    let marks = try await TargetRoles(metadata: metadata, connection: connection, session: session).marks(of: names)
    let references = try await RoleReferences.read(of: roles, policyRole: marks.policyRole, in: session)
    var droppable: [RoleName] = []
    for name in names.sorted() {
      switch marks[name] {
      case .absent: outcome.dropped.append(name.value)
      case .foreign:
        outcome.dropped.append(name.value)
        outcome.keep(name, "it is not the one that Sluice made")
      case .ours:
        if let reason = references[name.value]?.reason { outcome.keep(name, reason) } else { droppable.append(name) }
      }
    }
    for start in stride(from: 0, to: droppable.count, by: Self.together) {
      try await drop(droppable[start..<min(start + Self.together, droppable.count)], &outcome, in: session)
    }
  }

  /// What drops roles that nothing refers to any more.
  static func statements(dropping roles: [String]) throws -> [String] {
    let roles = try roles.map { try RoleName($0) }.sorted()
    return try stride(from: 0, to: roles.count, by: together).map { start in
      try GrantStatements.dropRoles(Array(roles[start..<min(start + together, roles.count)]))
    }
  }

  /// Many at once, and halves where that fails, until the one that cannot be dropped stands alone.
  private func drop(
    _ roles: ArraySlice<RoleName>, _ outcome: inout RolesOutcome, in session: PostgresConnection
  ) async throws {
    let sql = try GrantStatements.dropRoles(Array(roles))
    do {
      _ = try await session.savepoint { try await $0.query(sql) }
      outcome.statements.append(sql)
      outcome.dropped += roles.map(\.value)
    } catch let error as PostgresError where error.code == .server && error.sqlState != nil {
      guard await session.isInTransaction, error.sqlState != .queryCanceled else { throw error }
      guard roles.count > 1 else {
        return outcome.keep(roles[roles.startIndex], error.message)
      }
      let middle = roles.startIndex + roles.count / 2
      try await drop(roles[..<middle], &outcome, in: session)
      try await drop(roles[middle...], &outcome, in: session)
    }
  }
}
