import Foundation
import Governance
import Metadata
import Postgres

/// A way in which a role still reaches a relation although Sluice gives it nothing there.
package struct ResidualAccess: Sendable, Hashable, Encodable {
  package let role: String
  package let securable: Int64
  /// `superuser`, `ownership`, `public`, `grant` (by another grantor), `membership`, `predefined role`, `createrole`
  /// (before PostgreSQL 16), or what gives the same rows: `view`, `parent`, `partition`, `function`.
  package let route: String
  /// The view, parent, partition or function, as SQL names it.
  package let object: String?
  /// The view, parent or partition, by OID.
  let relation: UInt32?
  /// The role whose privileges it takes, where that is another than the user's; PUBLIC for everybody's.
  package let via: String?
  /// How they are the user's: `inherit`, `set` (after SET ROLE), `admin` (after a GRANT to itself, which it may make).
  package let how: String?
  /// Of a chain of memberships the role that the user itself is a member of.
  package let memberOf: String?
  package let grantor: String?
  /// With commas; EXECUTE for a function, which may do anything that its owner may.
  package let privileges: String
  /// The columns that the privileges are on; nil for all.
  package let columns: [String]?
  /// Whether USAGE of the schema and CONNECT are there too.
  package let isEffective: Bool
  /// False for what is only said to be possible: a function whose text names the relation, the server's files.
  package let isCertain: Bool

  enum CodingKeys: String, CodingKey {
    case role = "grantee"
    case securable, route, object, via, how, grantor, privileges, columns
    case memberOf = "member_of"
    case isEffective = "effective"
    case isCertain = "certain"
  }

  package var text: String {
    let what = [privileges, columns.map { "of columns \($0.joined(separator: ", "))" }].compactMap(\.self)
    let detail = [
      via.map { "role \"\($0)\"" }, memberOf.map { "through \"\($0)\"" }, grantor.map { "granted by \"\($0)\"" },
      how == "set" ? "after SET ROLE" : how == "admin" ? "after a GRANT to itself" : nil,
      isEffective ? nil : "without USAGE or CONNECT", isCertain ? nil : "possible",
    ].compactMap(\.self)
    return "\(what.joined(separator: " ")) by \([route, object].compactMap(\.self).joined(separator: " "))"
      + (detail.isEmpty ? "" : " (\(detail.joined(separator: ", ")))")
  }

  /// A role and a data source that it should not, or not fully, have.
  typealias Pair = (role: String, securable: Int64, oid: UInt32)

  /// Pairs of one look: 100,000 take half a second on PostgreSQL 17.
  static let maximumPairs = 100_000
  /// Routes of one look; those in effect come first.
  static let maximumRoutes = 10_000

  /// Every route of the first `maximumPairs` pairs, our own grants included, at most `maximumRoutes`.
  ///
  /// - Parameter audiences: where a role of the pairs itself is a member of one of these, that is not told
  static func routes(
    _ pairs: [Pair], apartFrom audiences: [String] = [], in session: PostgresConnection
  ) async throws -> [ResidualAccess] {
    guard !pairs.isEmpty else { return [] }
    let pairs = pairs.prefix(maximumPairs)
    let byOID = Dictionary(pairs.map { ($0.oid, $0.securable) }, uniquingKeysWith: { first, _ in first })
    return try await session.query(
      statement(PackageResources.residual_routes_sql),
      [
        .textArray(pairs.map(\.role)), .int8Array(pairs.map { Int64($0.oid) }), .textArray(audiences),
        .int(maximumRoutes),
      ]
    ).rows.map { try ResidualAccess($0, byOID) }
  }

  private init(_ row: PostgresRow, _ securables: [UInt32: Int64]) throws {
    role = try row.text("role")
    securable = securables[UInt32(truncatingIfNeeded: try row.int("oid"))] ?? 0
    route = try row.text("route")
    object = try row.optionalText("object")
    relation = try row.optionalInt("relation").map { UInt32(truncatingIfNeeded: $0) }
    via = try row.optionalText("via")
    how = try row.optionalText("how")
    memberOf = try row.optionalText("member_of")
    grantor = try row.optionalText("grantor")
    privileges = try row.text("privileges")
    columns = try row.optionalTextArray("columns")
    isEffective = try row.bool("is_effective")
    isCertain = try row.bool("is_certain")
  }

  private init(_ other: ResidualAccess, privileges: String) {
    (role, securable, route, object) = (other.role, other.securable, other.route, other.object)
    relation = other.relation
    (via, how, memberOf, grantor) = (other.via, other.how, other.memberOf, other.grantor)
    (columns, isEffective, isCertain) = (other.columns, other.isEffective, other.isCertain)
    self.privileges = privileges
  }

  /// What the route gives beyond these privileges; nil for nothing. Owners and superusers always have more; of a
  /// function nobody knows what it does, so that it is nothing more for those who may read.
  func without(_ desired: Set<String>) -> ResidualAccess? {
    if route == "function", desired.contains(Privilege.select.keyword) { return nil }
    let surplus = privileges.components(separatedBy: ", ").filter { !desired.contains($0) }
    return surplus.isEmpty ? nil : ResidualAccess(self, privileges: surplus.joined(separator: ", "))
  }
}

extension MetadataSession {
  /// These routes without what the roles themselves should have on views, parents and partitions: that it gives the rows
  /// of another data source too is for whoever opened them to know.
  func apartFromDesired(_ routes: [ResidualAccess], in database: Int64) async throws -> [ResidualAccess] {
    let own = routes.filter { $0.via == nil && $0.relation != nil }
    guard !own.isEmpty else { return routes }
    let rows = try await connection.query(
      """
      select distinct role, oid, kind, access from desired_access
      where database_id = $1 and oid = any ($2) and role_kind = 'user' and role = any ($3)
      """,
      [
        .int8(database), .int8Array(Set(own.compactMap(\.relation)).map(Int64.init)),
        .textArray(Array(Set(own.map(\.role)))),
      ]
    ).rows
    var desired: [RoleHoldings.Holder: Set<String>] = [:]
    for row in rows {
      guard let kind = SecurableKind(rawValue: try row.text("kind")),
        let access = AccessLevel(rawValue: try row.text("access"))
      else { continue }
      let holder = RoleHoldings.Holder(
        role: try row.text("role"), relation: UInt32(truncatingIfNeeded: try row.int("oid")))
      desired[holder, default: []].formUnion(access.privileges(on: kind).map(\.keyword))
    }
    return routes.compactMap { route in
      guard let relation = route.relation, route.via == nil else { return route }
      return route.without(desired[RoleHoldings.Holder(role: route.role, relation: relation)] ?? [])
    }
  }
}
