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

  func planDatabase(_ connection: Connection, _ lane: Lane) async throws -> PlannedStatements {
    guard let id = lane.database else { preconditionFailure("a database lane has a database") }
    let run = DatabaseRun(metadata: metadata, connection: connection, database: id, worker: "plan")
    let statements = try await inTarget(connection, lane.databaseName) { session in
      var extent = Extent()
      extent.isEverything = true
      extent.isLeaving = connection.state == .deleting
      let inputs = try await run.read(extent, in: session)
      let plan = GrantPlan.diff(inputs)
      let names = try await GrantStatements.Names.read(
        Set(plan.revokes.union(plan.grants).map(\.securable)), in: session)
      let needed = inputs.rolesToGrantTo(plan)
      let creations = try await TargetRoles(metadata: metadata, connection: connection, session: session)
        .planned(needed).statements
      return try GrantRectangle.rectangles(covering: plan.revokes).reversed().compactMap { rectangle in
        try rectangle.split { names[$0] != nil }.present.map { try GrantStatements.render(.revoke, $0, names) }
      } + creations
        + GrantRectangle.rectangles(covering: plan.grants).compactMap { rectangle in
          try rectangle.split { names[$0] != nil }.present.map { try GrantStatements.render(.grant, $0, names) }
        }
    }
    return PlannedStatements(connection: connection.name, database: lane.databaseName, statements: statements)
  }

  private func planRoles(_ connection: Connection) async throws -> PlannedStatements {
    let run = RolesRun(metadata: metadata, connection: connection, worker: "plan")
    let statements = try await inTarget(connection, nil) { try await run.planned(in: $0) }
    return PlannedStatements(connection: connection.name, database: nil, statements: statements)
  }

  func inTarget<Value: Sendable>(
    _ connection: Connection, _ database: String?,
    _ body: @Sendable (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    let session = try await targets.open(connection, database: database)
    do {
      let value = try await session.transaction(readOnly: true, body)
      await session.close()
      return value
    } catch {
      await session.close()
      throw error
    }
  }
}
