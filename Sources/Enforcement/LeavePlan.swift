import Governance
import Metadata
import Postgres

/// What deleting a connection would do in its target.
package struct LeavePlan: Sendable {
  /// What would be revoked, by place.
  package let revokes: [PlannedStatements]
  /// Roles that would be dropped.
  package let drops: [String]
  /// Roles that Sluice made and that would stay, with the reason.
  package let kept: [String: String]
}

extension Planner {
  /// The path of a deletion without its last step. What others do until then is not foreseen.
  package func planLeave(_ connection: Connection) async throws -> LeavePlan {
    var leaving = connection
    leaving.state = .deleting
    var revokes = [try await planRoles(leaving).0]
    var others: [String: [String]] = [:]
    let lanes = try await metadata.read { try await $0.lanes(of: connection.id) }.filter { $0.kind == .database }
    let made = try await metadata.read { try await $0.managedRoles(of: connection.id).filter(\.made) }
    for lane in lanes {
      let (transactions, counts) = try await planLeave(leaving, lane, made)
      revokes.append(
        PlannedStatements(
          connection: connection.name, database: lane.databaseName, place: lane.databaseName ?? connection.database,
          transactions: transactions))
      for (role, count) in counts {
        others[role, default: []].append("\(count) grants of others in database \(lane.databaseName ?? "")")
      }
    }
    let (drops, kept) = try await planDrops(leaving, made, others, visited: Set(lanes.compactMap(\.databaseName)))
    return LeavePlan(revokes: revokes.filter { !$0.statements.isEmpty }, drops: drops, kept: kept)
  }

  /// What would be revoked in a database, and how many entries of each role that would leave.
  private func planLeave(
    _ connection: Connection, _ lane: Lane, _ made: [ManagedRole]
  ) async throws -> (transactions: [[String]], others: [String: Int]) {
    try await inTarget(connection, lane.databaseName) { session in
      let run = run(connection, lane)
      var extent = Extent()
      (extent.isEverything, extent.isLeaving) = (true, run.isLeftForGood)
      let work = try await run.plan(extent, apartFrom: [], in: session)
      let holdings = try await RoleHoldings.read(Set(made.map(\.role)), in: session)
      let entries = try await ObservedState.read(
        roles: Set(try made.map { try RoleName($0.role) }), relations: Set(holdings.relations.map(\.relation)),
        schemas: holdings.schemas, in: session
      ).entries.filter { $0.grant.map { !work.revokes.contains($0) } ?? true }
      return (
        work.transactions,
        Dictionary((entries.map(\.grantee.value) + holdings.others.map(\.role)).map { ($0, 1) }, uniquingKeysWith: +)
      )
    }
  }

  private func planDrops(
    _ connection: Connection, _ made: [ManagedRole], _ others: [String: [String]], visited: Set<String>
  ) async throws -> (drops: [String], kept: [String: String]) {
    let installation = try await metadata.read { try await $0.installation() }
    let manager = try PolicyRole.name(installation: installation, connection: connection.id)
    return try await inTarget(connection, nil) { session in
      let marks = try await TargetRoles(metadata: metadata, connection: connection, session: session)
        .marks(of: try made.map { try RoleName($0.role) } + [manager])
      let references = try await RoleReferences.read(of: made, policyRole: manager, in: session)
      var (drops, kept): ([String], [String: String]) = ([], [:])
      for role in made {
        switch marks[try RoleName(role.role)] {
        case .absent: continue
        case .foreign: kept[role.role] = "it is not the one that Sluice made"
        case .ours:
          let reasons = others[role.role, default: []] + (references[role.role]?.reasons(apartFrom: visited) ?? [])
          if reasons.isEmpty { drops.append(role.role) } else { kept[role.role] = reasons.joined(separator: "; ") }
        }
      }
      if case .ours = marks[manager] {
        let isNeeded = made.contains { $0.kind == .audience && kept[$0.role] != nil }
        if isNeeded { kept[manager.value] = "it made audiences that stay" } else { drops.append(manager.value) }
      }
      return (drops, kept)
    }
  }
}
