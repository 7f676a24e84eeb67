import Foundation
import Governance
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

  enum CodingKeys: String, CodingKey {
    case role = "grantee"
    case securable, route, via, grantor, privileges
  }

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

  /// What the roles of revoke jobs can still do on what the jobs name or took away, apart from what they should.
  static func afterRevokes(
    _ jobs: [ClaimedJob], _ outcome: DatabaseOutcome, in session: PostgresConnection
  ) async throws -> [ResidualAccess] {
    guard jobs.contains(where: { $0.kind == .revoke }) else { return [] }
    let inputs = outcome.inputs
    let revoked = inputs.extent.revokedPairs.union(outcome.revokedPairs)
    let pairs = revoked.compactMap { pair -> (role: String, securable: Int64, oid: UInt32)? in
      guard let place = inputs.places[pair.securable], place.family == .table else { return nil }
      return (pair.role, pair.securable, place.oid)
    }
    let desired = Dictionary(grouping: inputs.wanted, by: { Route(role: $0.grantee.value, oid: $0.securable.oid) })
      .mapValues { Set($0.filter { $0.securable.family == .table }.map(\.privilege.keyword)) }
    return try await routes(pairs, in: session).compactMap { route in
      // Membership in an audience of ours is a policy's doing, and is what the policy says it is.
      if route.route == "membership", inputs.managed[route.via ?? ""] == .audience { return nil }
      let place = inputs.places[route.securable]
      return route.without(place.flatMap { desired[Route(role: route.role, oid: $0.oid)] } ?? [])
    }
  }

  private struct Route: Hashable {
    let role: String
    let oid: UInt32
  }

  /// What the route gives beyond these privileges; nil for nothing. Owners and superusers always have more.
  private func without(_ desired: Set<String>) -> ResidualAccess? {
    let surplus = privileges.components(separatedBy: ", ").filter { !desired.contains($0) }
    guard !surplus.isEmpty else { return nil }
    return ResidualAccess(
      role: role, securable: securable, route: route, via: via, grantor: grantor,
      privileges: surplus.joined(separator: ", "))
  }
}
