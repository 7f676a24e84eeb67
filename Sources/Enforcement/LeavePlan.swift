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
    let (lanes, made, installation) = try await metadata.read {
      (
        try await $0.lanes(of: connection.id).filter { $0.kind == .database },
        try await $0.managedRoles(of: connection.id).filter(\.made), try await $0.installation()
      )
    }
    var extent = Extent()
    (extent.isEverything, extent.isLeaving) = (true, true)
    for lane in lanes {
      let work = try await planDatabase(leaving, lane, extent, apartFrom: [], leaving: made)
      revokes.append(work.plan)
      others.merge(work.others) { $0 + $1 }
    }
    let manager = try PolicyRole.name(installation: installation, connection: connection.id).value
    var (drops, kept) = try await planDrops(
      leaving, made + [ManagedRole(role: manager, kind: .audience, made: true)], others,
      visited: Set(lanes.compactMap(\.databaseName)))
    if drops.contains(manager), made.contains(where: { $0.kind == .audience && kept[$0.role] != nil }) {
      drops.removeAll { $0 == manager }
      kept[manager] = "it made audiences that stay"
    }
    return LeavePlan(revokes: revokes.filter { !$0.statements.isEmpty }, drops: drops, kept: kept)
  }

  /// How many entries of each role a database would have after these revokes.
  static func entries(
    of roles: [ManagedRole], apartFrom revokes: Set<Grant>, in session: PostgresConnection
  ) async throws -> [String: Int] {
    guard !roles.isEmpty else { return [:] }
    let names = Set(roles.map(\.role))
    let holdings = try await RoleHoldings.read(names, in: session)
    let entries = try await ObservedState.read(
      roles: Set(try roles.map { try RoleName($0.role) }), relations: Set(holdings.relations.map(\.relation)),
      schemas: try await RoleHoldings.schemas(of: names, in: session), in: session
    ).entries.filter { $0.grant.map { !revokes.contains($0) } ?? true }
    return Dictionary(
      (entries.map(\.grantee.value) + holdings.others.map(\.role)).map { ($0, 1) }, uniquingKeysWith: +)
  }

  /// Which of the roles a run would drop once nothing of ours refers to them, and why it would not drop the others.
  ///
  /// - Parameters:
  ///   - others: what else there is of a role in the databases, in words
  ///   - visited: the databases that were looked at
  func planDrops(
    _ connection: Connection, _ roles: [ManagedRole], _ others: [String: [String]], visited: Set<String>
  ) async throws -> (drops: [String], kept: [String: String]) {
    guard !roles.isEmpty else { return ([], [:]) }
    let installation = try await metadata.read { try await $0.installation() }
    let manager = try PolicyRole.name(installation: installation, connection: connection.id)
    return try await inTarget(connection, nil) { session in
      let marks = try await TargetRoles(metadata: metadata, connection: connection, session: session)
        .marks(of: try roles.map { try RoleName($0.role) })
      // To the policy role only that refers which it made, and that goes before it.
      let references = try await RoleReferences.read(
        of: roles.filter { $0.role != manager.value }, policyRole: manager, in: session)
      var (drops, kept): ([String], [String: String]) = ([], [:])
      for role in roles {
        switch marks[try RoleName(role.role)] {
        case .absent: continue
        case .foreign: kept[role.role] = "it is not the one that Sluice made"
        case .ours:
          let reasons = others[role.role, default: []] + (references[role.role]?.reasons(apartFrom: visited) ?? [])
          if reasons.isEmpty { drops.append(role.role) } else { kept[role.role] = reasons.joined(separator: "; ") }
        }
      }
      return (drops, kept)
    }
  }
}
