import Governance
import Metadata
import Platform
import Postgres

extension Planner {
  /// What is otherwise than it should be on a connection: in its roles first, then in its databases; below the
  /// connection, only what is about the data sources at the path. Nothing is written.
  package func drift(
    _ connection: Connection, below path: SecurablePath? = nil
  ) async throws -> [(database: String?, drift: Drift)] {
    let (began, lanes) = try await metadata.read { (try await $0.now(), try await $0.lanes(of: connection.id)) }
    var found: [(database: String?, drift: Drift)] = []
    for lane in lanes where lane.kind != .governance {
      if lane.kind == .roles {
        guard path?.database == nil else { continue }
        let run = RolesRun(metadata: metadata, connection: connection, worker: "drift")
        found.append((nil, try await inTarget(connection, nil) { try await run.drift(lane, since: began, in: $0) }))
      } else if (path?.database ?? lane.databaseName) == lane.databaseName {
        let (run, extent) = (run(connection, lane), try await extent(below: path))
        let drift = try await inTarget(connection, lane.databaseName) { session in
          let agenda = try await run.agenda(of: extent, JobRoles(), in: session)
          var drift = try await run.drift(agenda, lane, since: began, in: session)
          let sources = try await metadata.read {
            try await $0.dataSources(of: run.database, among: extent.isEverything ? nil : extent.wholeSecurables)
          }
          let limit = Deadline.after(ForeignAccess.longestSearch)
          drift.note(try await ForeignAccess.look(run, at: sources, until: limit, in: session))
          return drift
        }
        found.append((lane.databaseName, drift))
      }
    }
    return found.filter { !$0.drift.isEmpty || $0.drift.unasked > 0 }
  }
}

extension RolesRun {
  /// What `run` would do about the memberships of every audience of the connection.
  func drift(_ lane: Lane, since: Timestamp, in session: PostgresConnection) async throws -> Drift {
    let roles = TargetRoles(metadata: metadata, connection: connection, session: session)
    let renamed = try await roles.renamed()
    let diff = try await read(nil, in: session).apartFrom(renamed.keys).diff
    let foreign = try await roles.marks(of: diff.audiences).foreign
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: since, $0) }
    var drift = Drift()
    drift.note(renamed: renamed)
    drift.note(diff, problem: { foreign.contains($0.role) ? .foreign($0.role) : nil }, isPending: open.explain)
    return drift
  }
}

extension DatabaseRun {
  /// What `run` would change on the relations of the agenda.
  func drift(
    _ agenda: Agenda, _ lane: Lane, since: Timestamp, in session: PostgresConnection
  ) async throws -> Drift {
    var (agenda, examined, found) = (agenda, 0, [(inputs: GrantInputs, plan: GrantPlan)]())
    var (relieved, grants): ([String: ManagedRole.Kind], Set<Grant>) = ([:], [])
    repeat {
      let window = agenda.window(ChunkPace.maximum)
      let inputs = try await read(window, of: agenda, in: session)
      // Prerequisites are missed in each window.
      let plan = GrantPlan.diff(inputs, apartFrom: grants)
      grants.formUnion(plan.grants)
      if !plan.isEmpty { found.append((inputs, plan)) }
      relieved.merge(inputs.rolesToRelieve(plan)) { $1 }
      examined += window.count
      agenda.finish(window)
    } while !agenda.left.isEmpty
    let revokes = found.reduce(into: Set<Grant>()) { $0.formUnion($1.plan.revokes) }
    let unused = try await Prerequisites.unused(
      by: relieved, self, agenda, revokes: revokes, grants: grants, in: session)
    // Read last: whatever the desired state already held has its job here.
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: since, $0) }
    var drift = Drift()
    drift.examined = examined
    for (inputs, plan) in found { drift.note(plan, inputs, open) }
    drift.note(.surplus, unused.revokes, unused.names) { open.explain($0, securable: nil) }
    return drift
  }
}

extension DatabaseProgress {
  /// What was otherwise than it should be, whether it was mended or not.
  func drift(apartFrom open: OpenChanges) -> Drift {
    var drift = Drift()
    drift.examined = examined
    for outcome in outcomes {
      drift.note(
        outcome.plan, outcome.inputs, open, names: outcome.prerequisites.names, problems: outcome.failures)
    }
    return drift
  }
}

extension Drift {
  /// Notes what a plan would change.
  mutating func note(
    _ plan: GrantPlan, _ inputs: GrantInputs, _ open: OpenChanges, names more: GrantStatements.Names = .init(),
    problems: [Grant: Failure] = [:]
  ) {
    var names = inputs.catalog.names
    names.merge(more)
    func isPending(_ grant: Grant) -> Bool {
      let tables = inputs.tables(of: grant.securable).compactMap(inputs.places.id)
      return tables.isEmpty
        ? open.explain(grant, securable: nil) : tables.contains { open.explain(grant, securable: $0) }
    }
    note(.lost, plan.grants, names, problems: problems, isPending: isPending)
    note(.surplus, plan.revokes, names, problems: problems, isPending: isPending)
  }
}
