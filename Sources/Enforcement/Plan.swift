import Governance
import Metadata
import Platform
import Postgres

/// The SQL that would bring one place of a target to the desired state.
package struct PlannedStatements: Sendable {
  package let connection: String
  /// The database, or nil for the role catalogue of the instance.
  package let database: String?
  /// Where the statements run.
  package let place: String
  /// What a run would commit together.
  package let transactions: [[String]]

  package var statements: [String] { transactions.flatMap(\.self) }

  /// What psql runs, given to it as the role that Sluice logs in as.
  package func script() throws -> String {
    let name = database.map { "database \($0)" } ?? "roles"
    let begin = "-- \(connection), \(name)\n\\connect \(try PostgresIdentifier(place).quoted)\n"
    return begin
      + transactions.map { "BEGIN;\n" + $0.map { "\($0);\n" }.joined() + "COMMIT;\n" }.joined()
  }
}

/// The path of a run without its last step: desired state and catalog are read and compared, nothing is written.
package struct Planner: Sendable {
  let metadata: MetadataDatabase
  let targets: Targets

  package init(metadata: MetadataDatabase, targets: Targets) {
    self.metadata = metadata
    self.targets = targets
  }

  /// What is left to do on a connection: on its roles first, then in its databases, and last the roles that nothing
  /// needs after that. Below the connection, only what is about the data sources at the path.
  package func plan(_ connection: Connection, below path: SecurablePath? = nil) async throws -> [PlannedStatements] {
    let (lanes, obsolete) = try await metadata.read {
      (try await $0.lanes(of: connection.id), try await $0.obsoleteRoles(of: connection.id))
    }
    var plans: [PlannedStatements] = []
    var made: Set<RoleName> = []
    if path?.database == nil {
      let (plan, roles) = try await planRoles(connection)
      plans.append(plan)
      made = roles
    }
    var others: [String: [String]] = [:]
    for lane in lanes where lane.kind == .database && (path?.database ?? lane.databaseName) == lane.databaseName {
      let work = try await planDatabase(
        connection, lane, try await extent(below: path), apartFrom: made, leaving: obsolete)
      plans.append(work.plan)
      made.formUnion(work.made)
      others.merge(work.others) { $0 + $1 }
    }
    if path?.database == nil {
      let visited = Set(lanes.compactMap(\.databaseName))
      let drops = try await planDrops(connection, obsolete, others, visited: visited).drops
      plans.append(
        PlannedStatements(
          connection: connection.name, database: nil, place: connection.database,
          transactions: drops.isEmpty ? [] : [try RolesRun.statements(dropping: drops)]))
    }
    return plans.filter { !$0.statements.isEmpty }
  }

  /// What is left to do in a database.
  ///
  /// - Parameter leaving: roles that are to be dropped
  /// - Returns: the plan, the roles that are there after it, and what keeps those that are to be dropped, in words
  func planDatabase(
    _ connection: Connection, _ lane: Lane, _ extent: Extent, apartFrom made: Set<RoleName>, leaving: [ManagedRole]
  ) async throws -> (plan: PlannedStatements, made: Set<RoleName>, others: [String: [String]]) {
    let run = run(connection, lane)
    let (work, left) = try await inTarget(connection, lane.databaseName) { session in
      let work = try await run.plan(extent, apartFrom: made, in: session)
      return (work, try await Self.entries(of: leaving, apartFrom: work.revokes, in: session))
    }
    let plan = PlannedStatements(
      connection: connection.name, database: lane.databaseName, place: lane.databaseName ?? connection.database,
      transactions: work.transactions)
    return (plan, work.made, left.mapValues { ["\($0) grants of others in database \(lane.databaseName ?? "")"] })
  }

  /// What is at a path of a database; everything without one.
  func extent(below path: SecurablePath?) async throws -> Extent {
    var extent = Extent()
    if let path, path.schema != nil {
      let below = try await metadata.read { try await $0.securables(below: path, depth: 1) }
      extent.wholeSecurables = Set(below.filter(\.kind.isTableLike).map(\.id))
    } else {
      extent.isEverything = true
    }
    return extent
  }

  func run(_ connection: Connection, _ lane: Lane) -> DatabaseRun {
    guard let id = lane.database else { preconditionFailure("a database lane has a database") }
    return DatabaseRun(metadata: metadata, connection: connection, database: id, worker: "plan")
  }

  func planRoles(_ connection: Connection) async throws -> (PlannedStatements, Set<RoleName>) {
    let run = RolesRun(metadata: metadata, connection: connection, worker: "plan")
    let (statements, made) = try await inTarget(connection, nil) { try await run.planned(in: $0) }
    let plan = PlannedStatements(
      connection: connection.name, database: nil, place: connection.database,
      transactions: statements.isEmpty ? [] : [statements])
    return (plan, made)
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

extension DatabaseRun {
  /// Everything that a run does but the statements.
  ///
  /// - Parameter made: roles that are made before
  /// - Returns: the statements by transaction, the roles that are there after them, and what they revoke
  func plan(
    _ extent: Extent, apartFrom made: Set<RoleName>, in session: PostgresConnection
  ) async throws -> (transactions: [[String]], made: Set<RoleName>, revokes: Set<Grant>) {
    var agenda = try await agenda(of: extent, JobRoles(), in: session)
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    var (transactions, made) = ([[String]](), made)
    var relieved: [String: ManagedRole.Kind] = [:]
    var (revokes, grants): (Set<Grant>, Set<Grant>) = ([], [])
    repeat {
      let window = agenda.window(ChunkPace.maximum)
      let inputs = try await read(window, of: agenda, in: session)
      var plan = GrantPlan.diff(inputs)
      let needed = inputs.rolesToGrantTo(plan).filter { !made.contains($0.key) }
      let foreign = try await roles.marks(of: needed.filter { $0.value == .audience }.map(\.key)).foreign
      plan.grants = plan.grants.filter { !foreign.contains($0.grantee) }
      let creations = try await roles.planned(needed).statements
      made.formUnion(needed.keys.filter { !foreign.contains($0) })
      relieved.merge(inputs.rolesToRelieve(plan)) { $1 }
      revokes.formUnion(plan.revokes)
      plan.grants.subtract(grants)
      grants.formUnion(plan.grants)
      let names = inputs.catalog.names
      transactions.append(
        try GrantStatements.render(.revoke, plan.revokes, names) + creations
          + GrantStatements.render(.grant, plan.grants, names))
      agenda.finish(window)
    } while !agenda.left.isEmpty
    let unused = try await Prerequisites.unused(
      by: relieved, self, agenda, revokes: revokes, grants: grants, in: session)
    transactions[transactions.count - 1] += try GrantStatements.render(.revoke, unused.revokes, unused.names)
    return (transactions.filter { !$0.isEmpty }, made, revokes.union(unused.revokes))
  }
}
