import Governance
import Metadata
import Postgres

/// What the jobs of a batch are about in one database, and the relations that are still to be compared: those that lose
/// something by name first, then by OID, so that transactions take their locks in one order.
struct Agenda: Sendable {
  let names: JobRoles
  let extent: Extent
  /// Where the data sources are that the jobs name.
  let places: SecurablePlaces
  /// Kinds of the roles that the extent names, and of every audience.
  let managed: [String: ManagedRole.Kind]
  private(set) var left: ArraySlice<UInt32>

  init(
    names: JobRoles, extent: Extent, places: SecurablePlaces, managed: [String: ManagedRole.Kind],
    relations: Set<UInt32>
  ) {
    self.names = names
    self.extent = extent
    self.places = places
    self.managed = managed
    let losing = Set(extent.revokedPairs.compactMap { places[$0.securable]?.oid })
    left = (losing.sorted() + relations.subtracting(losing).sorted())[...]
  }

  /// The next relations, at most so many.
  func window(_ limit: Int) -> Set<UInt32> { Set(left.prefix(limit)) }

  mutating func finish(_ window: Set<UInt32>) { left = left.dropFirst(window.count) }

  mutating func repeating(_ relations: Set<UInt32>) { left = relations.sorted()[...] }
}

extension DatabaseRun {
  func agenda(of jobs: [ClaimedJob], in session: PostgresConnection) async throws -> Agenda {
    let names = try await metadata.read { try await JobRoles.of(jobs, connection: connection.id, $0) }
    return try await agenda(of: Extent.of(jobs, names), names, in: session)
  }

  /// Reads which relations an extent comes to, under the lane's lock: what another worker gave before it lost the lock
  /// is found as well. Names alone are read here; what is on the relations, each transaction reads for itself.
  func agenda(of extent: Extent, _ names: JobRoles, in session: PostgresConnection) async throws -> Agenda {
    let (places, managed) = try await metadata.read { metadata in
      (
        try await metadata.places(in: database, of: extent.securables),
        try await metadata.roleKinds(of: connection.id, among: extent.roles, everything: extent.isEverything)
      )
    }
    var relations = Set(extent.securables.compactMap { places[$0]?.oid })
    if let changed, changed.count <= ChunkPace.maximum {
      relations.formUnion(changed)
    } else if extent.isEverything || !extent.wholeRoles.isEmpty {
      let roles = extent.isEverything ? Set(managed.keys) : extent.wholeRoles
      let unsettled = try await unsettled(roles, everything: extent.isEverything, in: session)
      relations.formUnion(changed.map(unsettled.intersection) ?? unsettled)
    }
    return Agenda(names: names, extent: extent, places: places, managed: managed, relations: relations)
  }
}

extension DatabaseRun {
  /// Where these roles have, should have or were given something, apart from what the target itself finds to be as it
  /// should: a table that is new to an audience of thousands is looked at, and not the thousands.
  private func unsettled(
    _ roles: Set<String>, everything: Bool, in session: PostgresConnection
  ) async throws -> Set<UInt32> {
    let (relations, ways) = try await metadata.read {
      (
        try await $0.desiredRelations(
          connection: connection.id, database: database, roles: roles, everything: everything),
        try await $0.waysIn(to: database)
      )
    }
    let (desired, given) = relations
    let held = try await RoleHoldings.read(roles.union(desired.keys.map(\.role)), in: session).relations
    let wanted = isLeftForGood || held.isEmpty ? [:] : desired.filter { held.contains($0.key) }
    guard !wanted.isEmpty else {
      return Set(held.map(\.relation)).union(desired.keys.lazy.map(\.relation)).union(given.lazy.map(\.relation))
    }
    let rows = try await session.query(
      statement(PackageResources.settled_relations_sql),
      [
        .textArray(wanted.map(\.key.role)), .int8Array(wanted.map { Int64($0.key.relation) }),
        .textArray(wanted.map { $0.value.map(\.keyword).sorted().joined(separator: ",") }),
        .textArray(ways.all.map(\.role.value)),
      ]
    ).rows
    let settled = try rows.map { row in
      RoleHoldings.Holder(role: try row.text("role"), relation: UInt32(truncatingIfNeeded: try row.int("oid")))
    }
    return Set(held.union(desired.keys).union(given).subtracting(settled).map(\.relation))
  }
}

/// Where roles hold anything in a database, by whomever it was granted.
struct RoleHoldings: Sendable {
  struct Place: Hashable, Sendable {
    let role: String
    let schema: UInt32
  }

  struct Holder: Hashable, Sendable {
    let role: String
    let relation: UInt32
  }

  /// Tables, and sequences that no column owns.
  private(set) var relations: Set<Holder> = []
  /// Schemas with columns, functions or types that a role has privileges on.
  private(set) var others: Set<Place> = []

  /// - Parameter schemas: where to look; nil for everywhere.
  static func read(
    _ roles: Set<String>, schemas: Set<UInt32>? = nil, in session: PostgresConnection
  ) async throws -> RoleHoldings {
    var holdings = RoleHoldings()
    guard !roles.isEmpty else { return holdings }
    let rows = try await session.query(
      statement(PackageResources.role_holdings_sql),
      [.textArray(Array(roles)), schemas.map { .int8Array($0.map(Int64.init)) } ?? .null]
    ).rows
    for row in rows {
      let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
      let schema = UInt32(truncatingIfNeeded: try row.int("schema"))
      switch try row.text("family") {
      case "relation": holdings.relations.insert(Holder(role: try row.text("role"), relation: oid))
      default: holdings.others.insert(Place(role: try row.text("role"), schema: schema))
      }
    }
    return holdings
  }

  /// The schemas on which one of these roles holds anything.
  static func schemas(of roles: Set<String>, in session: PostgresConnection) async throws -> Set<UInt32> {
    let rows = try await session.query(
      statement(PackageResources.held_schemas_sql), [.textArray(Array(roles))]
    ).rows
    return Set(try rows.map { UInt32(truncatingIfNeeded: try $0.int("oid")) })
  }
}
