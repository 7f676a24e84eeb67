import Governance
import Metadata
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
          return try await run.drift(agenda, lane, since: began, in: session)
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
  /// What `run` would change on the relations of the agenda, and what is not ours there.
  func drift(
    _ agenda: Agenda, _ lane: Lane, since: Timestamp, in session: PostgresConnection
  ) async throws -> Drift {
    var (agenda, drift, found) = (agenda, Drift(), [(inputs: GrantInputs, plan: GrantPlan)]())
    var (relieved, grants): ([String: ManagedRole.Kind], Set<Grant>) = ([:], [])
    var foreign = try await ForeignAccess.search(self)
    repeat {
      let window = agenda.window(ChunkPace.maximum)
      let inputs = try await read(window, of: agenda, in: session)
      // Prerequisites are missed in each window.
      let plan = GrantPlan.diff(inputs, apartFrom: grants)
      grants.formUnion(plan.grants)
      if !plan.isEmpty { found.append((inputs, plan)) }
      relieved.merge(inputs.rolesToRelieve(plan)) { $1 }
      drift.note(try await foreign.look(at: inputs, apartFrom: plan.revokes, in: session))
      drift.examined += window.count
      agenda.finish(window)
    } while !agenda.left.isEmpty
    let revokes = found.reduce(into: Set<Grant>()) { $0.formUnion($1.plan.revokes) }
    let unused = try await Prerequisites.unused(
      by: relieved, self, agenda, revokes: revokes, grants: grants, in: session)
    // Read last: whatever the desired state already held has its job here.
    let open = try await metadata.read { try await OpenChanges.read(of: lane, since: since, $0) }
    var ours = Drift()
    for (inputs, plan) in found { ours.note(plan, inputs, open) }
    ours.note(.surplus, unused.revokes, unused.names) { open.explain($0, securable: nil) }
    ours.note(drift)
    return ours
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

/// Looks for access to data sources that people with an account have, and no subscription explains.
struct ForeignAccess: Sendable {
  /// Pairs of a person and a data source that one search asks for.
  private static let maximumPairs = 20_000

  private let run: DatabaseRun
  private let people: [String]
  private var left = maximumPairs

  static func search(_ run: DatabaseRun) async throws -> ForeignAccess {
    ForeignAccess(run: run, people: try await run.metadata.read { try await $0.peopleRoles(of: run.connection.id) })
  }

  private init(run: DatabaseRun, people: [String]) {
    self.run = run
    self.people = people
  }

  private struct Holder: Hashable {
    let role: String
    let oid: UInt32
  }

  /// - Parameter revokes: what is ours there, and told as such
  mutating func look(
    at inputs: GrantInputs, apartFrom revokes: Set<Grant>, in session: PostgresConnection
  ) async throws -> Drift {
    var drift = Drift()
    let relations = inputs.catalog.relations.filter { oid, relation in
      relation.isAsked && inputs.places.id(of: SecurableOID(family: .table, oid: oid)) != nil
    }.keys.sorted()
    guard !people.isEmpty, !relations.isEmpty else { return drift }
    let count = min(relations.count, left / people.count)
    drift.unasked = (relations.count - count) * people.count
    guard count > 0 else { return drift }
    left -= count * people.count
    let asked = relations[..<count]
    let entitled = try await entitled(asked, inputs)
    let pairs = asked.flatMap { oid in
      people.map { (role: $0, securable: inputs.places.id(of: SecurableOID(family: .table, oid: oid)) ?? 0, oid: oid) }
    }
    // Whom an audience has for a member, the roles are compared for.
    let audiences = inputs.managed.filter { $0.value == .audience }.map(\.key)
    let routes = try await ResidualAccess.routes(pairs, apartFrom: audiences, in: session)
    for route in try await run.metadata.read({ [run] in try await $0.apartFromDesired(routes, in: run.database) }) {
      guard let place = inputs.places[route.securable] else { continue }
      var explained = entitled[Holder(role: route.role, oid: place.oid)] ?? []
      if route.route == "grant" {
        explained.formUnion(
          revokes.filter { $0.securable == place && $0.grantee.value == route.role }.map(\.privilege.keyword))
      }
      guard let surplus = route.without(explained) else { continue }
      drift.note(
        Drift.Entry(
          finding: .foreign, grantee: route.role, privileges: surplus.privileges,
          place: inputs.catalog.names[place] ?? "\(place.oid)", route: route.route, via: route.via ?? route.object,
          grantor: route.grantor))
    }
    return drift
  }

  /// What people should have on these relations, themselves or through audiences.
  private func entitled(
    _ relations: ArraySlice<UInt32>, _ inputs: GrantInputs
  ) async throws -> [Holder: Set<String>] {
    let rows = try await run.metadata.read { metadata in
      try await metadata.connection.query(
        statement(PackageResources.entitled_people_sql),
        [.int8(run.database), .int8Array(relations.map(Int64.init))]
      ).rows
    }
    var entitled: [Holder: Set<String>] = [:]
    for row in rows {
      let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
      guard let relation = inputs.catalog.relations[oid], let access = AccessLevel(rawValue: try row.text("access"))
      else { continue }
      entitled[Holder(role: try row.text("role"), oid: oid), default: []]
        .formUnion(access.privileges(on: relation.kind).map(\.keyword))
    }
    return entitled
  }
}
