import Governance
import Metadata
import Postgres

/// The audiences of a database's schemas and of itself: where very many users hold something directly, they carry USAGE
/// and CONNECT instead of an entry for each user.
struct WaysIn: Sendable {
  struct Way: Sendable {
    let role: RoleName
    let form: AccessForm
    let securable: Int64
    let place: SecurableOID

    var grant: Grant {
      Grant(grantee: role, securable: place, privilege: place.family == .database ? .connect : .usage)
    }
  }

  private(set) var all: [Way] = []
  /// What users' roles are to hold directly in the places that a batch names, because there is no audience any more.
  private(set) var direct: Set<Grant> = []
  /// Roles that may hold something in the places that a batch names that they need no longer.
  private(set) var relieved: [String: ManagedRole.Kind] = [:]

  mutating func add(_ way: Way) { all.append(way) }

  /// Where users' roles need no entry of their own.
  var open: [SecurableOID: Way] {
    Dictionary(all.filter(\.form.hasRole).map { ($0.place, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// What the audiences are to hold.
  var grants: Set<Grant> { Set(open.values.map(\.grant)) }

  /// The roles that it is about, with their kinds.
  var roles: [String: ManagedRole.Kind] {
    var roles = relieved
    for way in open.values { roles[way.role.value] = .audience }
    for grant in direct { roles[grant.grantee.value] = .user }
    return roles
  }

  var schemas: Set<UInt32> {
    Set((grants.union(direct)).filter { $0.securable.family == .schema }.map(\.securable.oid))
  }
}

extension MetadataSession {
  func waysIn(to database: Int64) async throws -> WaysIn {
    var ways = WaysIn()
    for row in try await connection.queryPrepared(statement(PackageResources.ways_in_sql), [.int8(database)]).rows {
      guard let kind = SecurableKind(rawValue: try row.text("kind")),
        let form = AccessForm(rawValue: try row.text("form"))
      else { continue }
      ways.add(
        .init(
          role: try RoleName(row.text("role")), form: form, securable: try row.int("securable_id"),
          place: SecurableOID(kind: kind, oid: UInt32(truncatingIfNeeded: try row.int("oid")))))
    }
    return ways
  }

  /// Also what it takes to bring those of the named securables that are schemas, or the database, to their forms.
  func waysIn(
    to database: Int64, of connection: Int64, naming securables: Set<Int64>, _ places: SecurablePlaces
  ) async throws -> WaysIn {
    var ways = try await waysIn(to: database)
    let named = securables.filter { places[$0].map { $0.family < .table } ?? false }
    guard !named.isEmpty else { return ways }
    let open = Set(ways.open.values.map(\.securable))
    for row in try await self.connection.query(
      statement(PackageResources.direct_holders_sql), [.int8(database), .int8Array(named.subtracting(open).sorted())]
    ).rows {
      // best effort: a role that PostgreSQL cannot have holds nothing
      guard let place = places[try row.int("place_id")], let role = try? RoleName(row.text("role")) else { continue }
      ways.hold(role, place)
    }
    let given = try await managedGrants(of: connection, roles: nil, on: named.sorted())
    ways.relieve(Set(given.grants.map(\.role)), named)
    return ways
  }
}

extension WaysIn {
  fileprivate mutating func hold(_ role: RoleName, _ place: SecurableOID) {
    direct.insert(
      Grant(grantee: role, securable: place, privilege: place.family == .database ? .connect : .usage))
  }

  fileprivate mutating func relieve(_ users: Set<String>, _ securables: Set<Int64>) {
    for user in users { relieved[user] = .user }
    for way in all where securables.contains(way.securable) { relieved[way.role.value] = .audience }
  }
}
