import Governance
import Metadata
import Platform
import Postgres

/// The SQL that would bring one place of a target to the desired state.
package struct PlannedStatements: Sendable {
  package let connection: String
  /// The database, or nil for the role catalogue of the instance.
  package let database: String?
  package let statements: [String]
}

/// The path of a run without its last step: desired state and catalog are read and compared, nothing is written.
package struct Planner: Sendable {
  let metadata: MetadataDatabase
  let targets: Targets

  package init(metadata: MetadataDatabase, targets: Targets) {
    self.metadata = metadata
    self.targets = targets
  }

  /// What is left to do on a connection: its databases (or the one named) and, for the whole connection, its roles.
  package func plan(_ connection: Connection, database: String? = nil) async throws -> [PlannedStatements] {
    let lanes = try await metadata.read { try await $0.lanes(of: connection.id) }
    var plans: [PlannedStatements] = []
    for lane in lanes where lane.kind == .database && (database == nil || lane.databaseName == database) {
      plans.append(try await planDatabase(connection, lane))
    }
    if database == nil { plans.insert(try await planRoles(connection), at: 0) }
    return plans.filter { !$0.statements.isEmpty }
  }

  private func planDatabase(_ connection: Connection, _ lane: Lane) async throws -> PlannedStatements {
    guard let id = lane.database else { preconditionFailure("a database lane has a database") }
    let run = DatabaseRun(metadata: metadata, connection: connection, database: id, worker: "plan")
    let statements = try await inTarget(connection, lane.databaseName) { session in
      var extent = Extent()
      extent.isEverything = true
      let agenda = try await run.agenda(of: extent, JobRoles(), in: session)
      let work = try await run.compare(agenda, in: session)
      let creations = try await TargetRoles(metadata: metadata, connection: connection, session: session)
        .planned(work.roles)
      return try GrantRectangle.rectangles(covering: work.plan.revokes).reversed().compactMap { rectangle in
        try rectangle.split { work.names[$0] != nil }.present.map {
          try GrantStatements.render(.revoke, $0, work.names)
        }
      } + creations
        + GrantRectangle.rectangles(covering: work.plan.grants).compactMap { rectangle in
          try rectangle.split { work.names[$0] != nil }.present.map {
            try GrantStatements.render(.grant, $0, work.names)
          }
        }
    }
    return PlannedStatements(connection: connection.name, database: lane.databaseName, statements: statements)
  }

  private func planRoles(_ connection: Connection) async throws -> PlannedStatements {
    let run = RolesRun(metadata: metadata, connection: connection, worker: "plan")
    let statements = try await inTarget(connection, nil) { session in
      let memberships = try await run.read(nil, in: session)
      let diff = memberships.diff
      let version = await session.serverVersion
      let creations = try await TargetRoles(metadata: metadata, connection: connection, session: session)
        .planned(diff.rolesToGrantTo)
      return try diff.revokes.map(GrantStatements.render(removing:)) + creations
        + diff.grants.map { try GrantStatements.render(adding: $0, serverVersion: version) }
    }
    return PlannedStatements(connection: connection.name, database: nil, statements: statements)
  }

  private func inTarget(
    _ connection: Connection, _ database: String?,
    _ body: @Sendable (PostgresConnection) async throws -> [String]
  ) async throws -> [String] {
    let session = try await targets.open(connection, database: database)
    do {
      let statements = try await session.transaction(readOnly: true, body)
      await session.close()
      return statements
    } catch {
      await session.close()
      throw error
    }
  }
}
