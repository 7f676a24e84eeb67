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
      let known = try await metadata.connection.query(
        "select from audience where connection_id = $1 and role = $2", [.int8(connection.id), .text(role)])
      let obsolete = try await metadata.obsoleteAudiences(of: connection.id, roles: [role])
      return !known.rows.isEmpty && obsolete.isEmpty
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
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    if case .foreign = try await roles.marks(of: [name])[name] {
      outcome.dropped.append(role)
      outcome.leftovers.append("role \"\(role)\" is kept: it is not the one that Sluice made")
      return
    }
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

  /// Once every database has been left and the roles are gone, so is the connection. Not while one is still being
  /// left, and not while one could not be: its grants would stay behind with nobody who knows of them.
  func finishLeaving(_ outcome: RolesOutcome) async throws -> Leaving {
    try await metadata.transaction { metadata in
      guard try await metadata.connection(id: connection.id).state == .deleting else { return .done }
      let last = try await metadata.lastLeaves(of: connection.id)
      if let failed = last.first(where: { $0.state == .discarded || $0.state == .cancelled }) {
        let reason = "database \"\(failed.database)\" could not be left: \(failed.error ?? "job was cancelled")"
        try await metadata.noteLeaving(of: connection.id, reason)
        return .blocked(
          reason,
          remedy:
            "mend that, then: sluice job retry \(failed.job); or: sluice connection delete \(connection.name) --force"
        )
      }
      guard last.allSatisfy(\.state.isFinal) else { return .waiting }
      try await metadata.finishDeletion(of: connection.id)
      try await metadata.audit(
        AuditEntry(
          actor: worker, action: "connection delete", connection: connection.name,
          detail: outcome.leftovers.isEmpty ? [:] : ["leftovers": outcome.leftovers.joined(separator: "\n")]))
      return .done
    }
  }
}

/// How far a connection's leaving has come.
enum Leaving: Sendable {
  case done
  /// A database is still being left.
  case waiting
  /// A database could not be left; the job that leaves it asks for the rest again when it is retried.
  case blocked(String, remedy: String)

  /// How often it is looked whether the last database has been left.
  private static let poll: Duration = .seconds(5)

  /// The result of a job that leaves; nil if it is that of the run.
  func result(of job: ClaimedJob) -> JobResult? {
    switch self {
    case .done: nil
    case .waiting: JobResult(id: job.id, outcome: .snoozed(Self.poll))
    case .blocked(let reason, let remedy):
      JobResult(id: job.id, outcome: .discarded, error: reason, remedy: remedy)
    }
  }
}
