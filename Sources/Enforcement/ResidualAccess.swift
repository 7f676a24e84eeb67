import Metadata
import Postgres

/// A way in which a role still reaches a relation although Sluice gives it nothing there.
package struct ResidualAccess: Sendable, Hashable, Encodable {
  package let role: String
  package let securable: Int64
  /// `superuser`, `ownership`, `public`, `grant` (by another grantor), `membership`, `predefined role`.
  package let route: String
  /// The role that is owned by or that the user is a member of.
  package let via: String?
  package let grantor: String?
  package let privileges: String

  enum CodingKeys: String, CodingKey { case route, via, grantor, privileges }

  package var text: String {
    let detail = [via.map { "role \"\($0)\"" }, grantor.map { "granted by \"\($0)\"" }].compactMap(\.self)
    return "\(privileges) by \(route)" + (detail.isEmpty ? "" : " (\(detail.joined(separator: ", ")))")
  }

  /// Every route of these pairs, our own grants included.
  static func routes(
    _ pairs: [(role: String, securable: Int64, oid: UInt32)], in session: PostgresConnection
  ) async throws -> [ResidualAccess] {
    guard !pairs.isEmpty else { return [] }
    let byOID = Dictionary(pairs.map { ($0.oid, $0.securable) }, uniquingKeysWith: { first, _ in first })
    return try await session.query(
      statement(PackageResources.residual_routes_sql),
      [.textArray(pairs.map(\.role)), .int8Array(pairs.map { Int64($0.oid) })]
    ).rows.map { row in
      ResidualAccess(
        role: try row.text("role"), securable: byOID[UInt32(truncatingIfNeeded: try row.int("oid"))] ?? 0,
        route: try row.text("route"), via: try row.optionalText("via"), grantor: try row.optionalText("grantor"),
        privileges: try row.text("privileges"))
    }
  }

  /// What the users of revoke jobs can still do, apart from what their policies give them.
  static func afterRevokes(
    _ jobs: [ClaimedJob], _ outcome: DatabaseOutcome, in session: PostgresConnection
  ) async throws -> [ResidualAccess] {
    let oids = Dictionary(
      outcome.inputs.securables.map { ($0.value, $0.key) }, uniquingKeysWith: { first, _ in first })
    let stillDesired = Set(
      outcome.inputs.desired.accesses.map { Extent.Pair(role: $0.role.value, securable: $0.securable) })
    let pairs = jobs.compactMap { job -> (role: String, securable: Int64, oid: UInt32)? in
      guard job.kind == .revoke, job.scope.subject == .subscription, let securable = job.scope.securable,
        let role = outcome.names.role(of: job), let oid = oids[securable],
        !stillDesired.contains(Extent.Pair(role: role, securable: securable))
      else { return nil }
      return (role, securable, oid)
    }
    return try await routes(pairs, in: session).filter { route in
      // Membership in an audience of ours is a policy's doing, and is what the policy says it is.
      !(route.route == "membership" && outcome.inputs.managed[route.via ?? ""] == .audience)
    }
  }
}
