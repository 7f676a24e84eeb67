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
    let statements = try await inTarget(connection, lane.databaseName) { session in
      try await databaseStatements(run(connection, lane), in: session).statements
    }
    return PlannedStatements(connection: connection.name, database: lane.databaseName, statements: statements)
  }

  func run(_ connection: Connection, _ lane: Lane) -> DatabaseRun {
    guard let id = lane.database else { preconditionFailure("a database lane has a database") }
    return DatabaseRun(metadata: metadata, connection: connection, database: id, worker: "plan")
  }

  /// What a run would do with everything in a database, and the statements that say so.
  func databaseStatements(
    _ run: DatabaseRun, in session: PostgresConnection
  ) async throws -> (statements: [String], plan: GrantPlan) {
    var extent = Extent()
    extent.isEverything = true
    extent.isLeaving = run.isLeftForGood
    let work = try await run.compare(try await run.agenda(of: extent, JobRoles(), in: session), in: session)
    let roles = TargetRoles(metadata: metadata, connection: run.connection, session: session)
    func render(_ verb: GrantStatements.Verb, _ rectangles: [GrantRectangle]) throws -> [String] {
      try rectangles.compactMap { rectangle in
        try rectangle.split { work.names[$0] != nil }.present.map { try GrantStatements.render(verb, $0, work.names) }
      }
    }
    let statements =
      try render(.revoke, GrantRectangle.rectangles(covering: work.plan.revokes).reversed())
      + (try await roles.planned(work.roles).statements)
      + render(.grant, GrantRectangle.rectangles(covering: work.plan.grants))
    return (statements, work.plan)
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
