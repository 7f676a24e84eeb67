import Governance
import Metadata
import Postgres

/// What refers to a role of Sluice's in the target, which DROP ROLE would be refused for or would take along.
struct RoleReferences: Sendable {
  let grants: Int64
  let owned: Int64
  /// Where the grants and the owned objects are.
  let databases: [String]
  /// Memberships of others' making, in words.
  let memberships: [String]

  /// Why the role stays; nil if nothing keeps it.
  var reason: String? {
    var reasons = memberships
    if grants + owned > 0 {
      reasons.append("\(grants) grants and \(owned) owned objects refer to it in \(databases.joined(separator: ", "))")
    }
    return reasons.isEmpty ? nil : reasons.joined(separator: "; ")
  }

  /// Why it would stay once nothing of ours refers to it in the databases that Sluice visits.
  func reasons(apartFrom visited: Set<String>) -> [String] {
    let elsewhere = databases.filter { !visited.contains($0) && $0 != "the instance" }
    return memberships + (owned > 0 ? ["it owns \(owned) objects in \(databases.joined(separator: ", "))"] : [])
      + (elsewhere.isEmpty ? [] : ["grants in \(elsewhere.joined(separator: ", ")), which no sync has seen"])
  }

  /// Of those of the roles that exist.
  static func read(
    of roles: [ManagedRole], policyRole: RoleName, in session: PostgresConnection
  ) async throws -> [String: RoleReferences] {
    let rows = try await session.query(
      statement(PackageResources.role_references_sql),
      [
        .textArray(roles.map(\.role)), .textArray(roles.filter { $0.kind == .audience }.map(\.role)),
        .text(policyRole.value),
      ]
    ).rows
    var references: [String: RoleReferences] = [:]
    for row in rows {
      references[try row.text("role")] = RoleReferences(
        grants: try row.int("grants"), owned: try row.int("owned"), databases: try row.textArray("databases"),
        memberships: try row.textArray("memberships"))
    }
    return references
  }
}
