import Governance
import Metadata
import Platform
import Postgres

/// Dropping roles that Sluice made, once no database of the instance refers to them any more.
extension RolesRun {
  /// Drops an audience's role that nothing asks for. While another database still grants to it, nothing happens: the
  /// run that takes the last grant away submits this again.
  func retire(_ role: String, _ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    let isWanted = try await metadata.read { metadata in
      let rows = try await metadata.connection.query(
        "select id from audience where connection_id = $1 and role = $2", [.int8(connection.id), .text(role)]
      ).rows
      let obsolete = try await metadata.obsoleteAudiences(among: try rows.map { try $0.int("id") })
      return !rows.isEmpty && obsolete.isEmpty
    }
    if !isWanted { try await drop(role, &outcome, in: session) }
  }

  /// Every role that Sluice made, when the connection is being deleted; one that is only inactive keeps them. Its state
  /// is read here, under the lane's lock: it may have changed since the lane was opened.
  func dropAll(_ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    let made = try await metadata.read { metadata in
      guard try await metadata.connection(id: connection.id).state == .deleting else { return [ManagedRole]() }
      return try await metadata.managedRoles(of: connection.id).filter(\.made)
    }
    for role in made { try await drop(role.role, &outcome, in: session) }
  }

  private func drop(_ role: String, _ outcome: inout RolesOutcome, in session: PostgresConnection) async throws {
    let name = try RoleName(role)
    let rows = try await session.query(
      statement(PackageResources.role_references_sql), [.text(role)]
    ).rows
    guard let row = rows.first else {
      outcome.dropped.append(role)
      return
    }
    if try row.int("grants") + row.int("owned") > 0 {
      outcome.leftovers.append(
        "role \"\(role)\" is kept: \(try row.int("grants")) grants and \(try row.int("owned")) owned objects refer to it "
          + "in \(try row.textArray("databases").joined(separator: ", "))")
      return
    }
    let sql = try GrantStatements.dropRole(name)
    do {
      _ = try await session.savepoint { try await $0.query(sql) }
      outcome.statements.append(sql)
      outcome.dropped.append(role)
    } catch let error as PostgresError where error.code == .server && error.sqlState != nil {
      guard await session.isInTransaction else { throw error }
      outcome.leftovers.append("role \"\(role)\" is kept: \(error.message)")
    }
  }

  /// Once every database has been left and the roles are gone, so is the connection. False while one is still being
  /// left.
  func finishLeaving(_ outcome: RolesOutcome) async throws -> Bool {
    try await metadata.transaction { metadata in
      let waiting = try await metadata.connection.query(
        """
        select from job j join lane l on l.id = j.lane_id
        where l.connection_id = $1 and l.kind = 'database' and j.finished_at is null
          and j.scope ->> 'subject' = 'leave' limit 1
        """, [.int8(connection.id)]
      ).rows
      let fresh = try await metadata.connection(id: connection.id)
      guard fresh.state == .deleting else { return true }
      guard waiting.isEmpty else { return false }
      try await metadata.finishDeletion(of: connection.id)
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "connection delete", connection: connection.name,
          detail: outcome.leftovers.isEmpty ? [:] : ["leftovers": outcome.leftovers.joined(separator: "\n")]))
      return true
    }
  }
}
