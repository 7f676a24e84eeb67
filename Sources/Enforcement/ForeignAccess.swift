import Governance
import Metadata
import Platform
import Postgres

/// Looks for access to data sources that people with an account have, and no subscription explains.
///
/// But for what audiences open and for what is their own, nearly all people reach the same: those who are members of the
/// same other roles are asked for through one of them, on every data source. What is somebody's own is asked for where it
/// may be about a data source. What is found is compared with what each of them should have, and told once for all whom it
/// reaches in one way.
struct ForeignAccess: Sendable {
  /// So long looks who waits for the answer.
  static let longestSearch: Duration = .seconds(60)
  /// What is people's own, of which so much is asked for.
  private static let maximumOwn = 500_000

  struct DataSource: Sendable {
    let id: Int64
    let oid: UInt32
    let kind: SecurableKind
  }

  private struct Pair: Sendable {
    let role: String
    let source: DataSource
  }

  /// What is told in one entry: one way to one data source; a way to whatever there is stands for all of them.
  private struct Way: Hashable {
    let source: Int64?
    let entry: Drift.Entry
  }

  private struct Reached {
    /// Whom it is shown by.
    let first: String
    /// How many it is open to, by data source.
    var people: [Int64: Int] = [:]
  }

  let run: DatabaseRun
  private let sources: [Int64: DataSource]
  private let audiences: [String]
  private var rights: PeopleRights
  private var groups: [[Int]] = []
  private var ways: [Way: Reached] = [:]
  private var drift = Drift()
  private let isWhole: Bool
  private let limit: Deadline
  /// Privileges that Sluice gave: they are desired, or told as surplus, or about to go.
  private var given: [Extent.Pair: Set<String>] = [:]

  /// - Parameter isWhole: false leaves out what is open on whatever there is: a superuser is no news for each table
  static func look(
    _ run: DatabaseRun, at sources: [DataSource], asWhole isWhole: Bool = true, until limit: Deadline,
    in session: PostgresConnection
  ) async throws -> Drift {
    guard !sources.isEmpty else { return Drift() }
    let (people, kinds) = try await run.metadata.read {
      (
        try await $0.peopleRoles(of: run.connection.id),
        try await $0.roleKinds(of: run.connection.id, among: [], everything: false)
      )
    }
    var search = ForeignAccess(
      run, sources, PeopleRights(run: run, people: people), audiences: kinds.keys.sorted(), isWhole, limit)
    try await search.askGroups(in: session)
    try await search.askOwn(in: session)
    return try await search.tell(in: session)
  }

  private init(
    _ run: DatabaseRun, _ sources: [DataSource], _ rights: PeopleRights, audiences: [String], _ isWhole: Bool,
    _ limit: Deadline
  ) {
    self.run = run
    self.sources = Dictionary(sources.map { ($0.id, $0) }) { first, _ in first }
    self.rights = rights
    self.audiences = audiences
    self.isWhole = isWhole
    self.limit = limit
    drift.asked = sources.count
  }
}

// Asking.
extension ForeignAccess {
  /// What people reach by being members of roles, or like everybody.
  private mutating func askGroups(in session: PostgresConnection) async throws {
    let alike = try await ResidualLook.alike(rights.people, apartFrom: audiences, andOwn: true, in: session)
    groups = alike.map(rights.numbers).sorted { $0.count > $1.count }
    let byRole = Dictionary(uniqueKeysWithValues: groups.enumerated().map { (rights.people[$1[0]], $0) })
    let all = sources.values.sorted { $0.oid < $1.oid }
    let groupsTogether = max(1, ResidualAccess.maximumPairs / all.count)
    for start in stride(from: 0, to: groups.count, by: groupsTogether) {
      let part = groups[start..<min(start + groupsTogether, groups.count)]
      for first in stride(from: 0, to: all.count, by: ResidualAccess.maximumPairs) {
        let some = all[first..<min(first + ResidualAccess.maximumPairs, all.count)]
        guard !limit.hasPassed else {
          drift.unasked += part.reduce(0) { $0 + $1.count } * some.count
          continue
        }
        let pairs = part.flatMap { group in some.map { Pair(role: rights.people[group[0]], source: $0) } }
        for route in try await routes(of: pairs[...], in: session) where !route.isOwn && (isWhole || !route.isAnywhere)
        {
          guard let group = byRole[route.role] else { continue }
          note(route, groups[group])
        }
      }
    }
  }

  /// What is people's own: what they own, and what was granted to themselves.
  private mutating func askOwn(in session: PostgresConnection) async throws {
    let carried = try await CarriedRelations.read(
      roles: rights.people, dataSources: Set(sources.values.map(\.oid)), limit: Self.maximumOwn, in: session)
    drift.unasked += carried.unread
    try await readGiven(to: Array(carried.byRole.keys))
    let all = sources.values.sorted { $0.oid < $1.oid }
    let byOID = Dictionary(all.map { ($0.oid, $0) }) { first, _ in first }
    var pairs: [Pair] = []
    for (role, relations) in carried.byRole.sorted(by: { $0.key < $1.key }) {
      let own = relations.map { $0.sorted().compactMap { byOID[$0] } } ?? all
      pairs += own.map { Pair(role: role, source: $0) }
    }
    for start in stride(from: 0, to: pairs.count, by: ResidualAccess.maximumPairs) {
      let part = pairs[start..<min(start + ResidualAccess.maximumPairs, pairs.count)]
      guard !limit.hasPassed else {
        drift.unasked += part.count
        continue
      }
      let found = try await routes(of: part, in: session).filter(\.isOwn)
      for route in try await run.metadata.read({ [run] in try await $0.apartFromDesired(found, in: run.database) }) {
        note(route, rights.numbers([route.role]))
      }
    }
  }

  /// Before the target is asked: what is given afterwards is desired by then.
  private mutating func readGiven(to roles: [String]) async throws {
    guard !roles.isEmpty else { return }
    let (run, ids) = (run, Array(sources.keys))
    let remembered = try await run.metadata.read {
      try await $0.managedGrants(of: run.connection.id, roles: roles, on: ids)
    }
    for grant in remembered.grants {
      given[Extent.Pair(role: grant.role, securable: grant.securable), default: []].insert(grant.privilege.keyword)
    }
  }

  /// Every route of these pairs: where one question brings no more than so many, two are asked.
  private mutating func routes(
    of pairs: ArraySlice<Pair>, in session: PostgresConnection
  ) async throws -> [ResidualAccess] {
    // Whom an audience has for a member, the roles are compared for.
    let found = try await ResidualAccess.routes(
      pairs.map { ($0.role, $0.source.id, $0.source.oid) }, apartFrom: audiences, in: session)
    guard found.count < ResidualAccess.maximumRoutes || pairs.count == 1 else {
      let middle = pairs.startIndex + pairs.count / 2
      return try await routes(of: pairs[..<middle], in: session) + routes(of: pairs[middle...], in: session)
    }
    try await rights.read(on: Set(found.compactMap { sources[$0.securable]?.oid }))
    return found
  }
}

// What was found.
extension ForeignAccess {
  /// - Parameter people: those whom the route is open to
  private mutating func note(_ route: ResidualAccess, _ people: [Int]) {
    guard let source = sources[route.securable] else { return }
    for (access, people) in rights.byAccess(people, on: source.oid) {
      var explained = Set((access?.privileges(on: source.kind) ?? []).map(\.keyword))
      if route.route == "grant" {
        explained.formUnion(given[Extent.Pair(role: route.role, securable: source.id)] ?? [])
      }
      guard let surplus = route.without(explained) else { continue }
      let way = Way(source: route.isAnywhere ? nil : source.id, entry: Drift.Entry(surplus, isOwn: route.isOwn))
      var reached = ways[way] ?? Reached(first: rights.people[people[0]])
      reached.people[source.id, default: 0] += people.count
      ways[way] = reached
    }
  }

  private func tell(in session: PostgresConnection) async throws -> Drift {
    let named = Set(ways.values.filter { $0.people.count == 1 }.prefix(Drift.maximumEntries).flatMap(\.people.keys))
    let names = try await CatalogFacts.read(Set(named.compactMap { sources[$0]?.oid }), in: session).names
    var entries: [Drift.Entry] = []
    for (way, reached) in ways {
      var entry = way.entry
      if entry.grantee.isEmpty { entry.grantee = reached.first }
      entry.users = reached.people.values.max()
      if reached.people.count > 1 {
        (entry.place, entry.dataSources) = ("data sources", reached.people.count)
      } else if let oid = reached.people.first.flatMap({ sources[$0.key]?.oid }) {
        entry.place = names[SecurableOID(family: .table, oid: oid)] ?? "\(oid)"
      }
      entries.append(entry)
    }
    var drift = drift
    for entry in entries.sorted(by: { ($0.place, $0.grantee, $0.identity) < ($1.place, $1.grantee, $1.identity) }) {
      drift.note(entry)
    }
    return drift
  }
}

extension ResidualAccess {
  /// The role's own, not that of a role that it is a member of, nor everybody's.
  fileprivate var isOwn: Bool {
    switch route {
    case "superuser", "createrole", "public", "predefined role", "membership": false
    default: via == nil || via == role
    }
  }

  /// Open to whatever relation there is.
  fileprivate var isAnywhere: Bool { ["superuser", "createrole", "predefined role"].contains(route) }
}

extension Drift.Entry {
  /// - Parameter isOwn: whether it is that role's alone
  fileprivate init(_ access: ResidualAccess, isOwn: Bool) {
    let isPublic = access.route == "public" || access.via == "PUBLIC"
    self.init(
      finding: .foreign, grantee: isPublic ? Self.everybody : isOwn ? access.role : "",
      privileges: access.privileges + (access.columns.map { " of columns \($0.joined(separator: ", "))" } ?? ""),
      place: "", route: [access.route, access.object].compactMap(\.self).joined(separator: " "),
      via: access.via == "PUBLIC" ? nil : access.via, grantor: access.grantor)
    remark = [
      access.how == "set" ? "after SET ROLE" : access.how == "admin" ? "after a GRANT to itself" : nil,
      access.isCertain ? nil : "possible",
    ].compactMap(\.self).joined(separator: ", ")
  }
}

extension MetadataSession {
  /// The enabled data sources of a database; of those with these numbers, if there are some.
  func dataSources(of database: Int64, among ids: Set<Int64>? = nil) async throws -> [ForeignAccess.DataSource] {
    try await connection.query(
      """
      select id, oid, kind from data_source
      where database_id = $1 and enabled and ($2::bigint[] is null or id = any ($2))
      """, [.int8(database), ids.map { .int8Array(Array($0)) } ?? .null]
    ).rows.compactMap { row in
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { return nil }
      return ForeignAccess.DataSource(
        id: try row.int("id"), oid: UInt32(truncatingIfNeeded: try row.int("oid")), kind: kind)
    }
  }
}
