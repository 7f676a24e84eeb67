import Governance
import Postgres

/// USAGE of schemas and CONNECT to databases in which very many users hold something directly: an audience of the schema
/// or database carries them, because an access control list has room for so many entries only.
///
/// Its members are all who should have anything there, in whatever form, so that no change of a form leaves anybody
/// between two ways in. Apart from that it comes and goes as the audiences of subscriptions do.
extension MetadataSession {
  private struct HeldPlace {
    let id: Int64
    let connection: Int64
    let database: Int64
    /// Users who hold something directly; nil where an audience is there to stay.
    let holders: Int?
    let audience: Int64?
    let form: AccessForm?

    var hasAudience: Bool { form?.hasRole == true }
    var needsAudience: Bool {
      holders.map { FormLimits.needsAudience(subscribers: $0, hasOne: hasAudience) } ?? true
    }
    /// Whether a change that another transaction has not committed yet may tip the balance.
    var isNearBound: Bool {
      holders.map { hasAudience ? $0 <= FormLimits.directGrantees : $0 >= FormLimits.fewestSubscribers } ?? false
    }
  }

  /// The schemas and databases of data sources.
  func placesAround(_ securables: [Int64]) async throws -> [Int64] {
    guard !securables.isEmpty else { return [] }
    return try await connection.query(
      """
      select distinct p.id from securable t cross join lateral (values (t.parent_id), (t.database_id)) as p (id)
      where t.id = any ($1) and p.id is not null
      """, [.int8Array(securables)]
    ).rows.map { try $0.int("id") }
  }

  /// The schemas and databases of a connection in which anybody may hold something directly, and those with an audience.
  package func heldPlaces(of connectionID: Int64) async throws -> [Int64] {
    try await connection.query(statement(PackageResources.held_places_sql), [.int8(connectionID)]).rows
      .map { try $0.int("id") }
  }

  /// Brings the forms of USAGE or CONNECT in these schemas and databases to the numbers of those who need them.
  ///
  /// - Parameters:
  ///   - added: those of them with new subscriptions by hand
  ///   - isCountingAll: whether there may be fewer who need them; where there are only more, audiences stay
  ///   - isLoss: whether somebody lost something; such work goes first
  /// - Returns: the jobs that it needs, not submitted yet
  /// - Throws: `refused` if a new subscription is by one user too many, and the role budget has no room
  package func placePrerequisites(
    in ids: [Int64], added: Set<Int64> = [], isCountingAll: Bool, isLoss: Bool, parent: Int64? = nil
  ) async throws -> [JobRequest] {
    var places = try await heldPlaces(ids, isCountingAll)
    let near = Set(places.filter(\.isNearBound).map(\.connection))
    if !near.isEmpty {
      for id in near.sorted() { try await lockForms(of: id) }
      places = try await heldPlaces(ids, isCountingAll)
    }
    var requests: [JobRequest] = []
    for (connection, places) in Dictionary(grouping: places, by: \.connection).sorted(by: { $0.key < $1.key }) {
      requests += try await place(places, added, on: connection, isLoss: isLoss, parent)
    }
    return requests
  }

  private func place(
    _ places: [HeldPlace], _ added: Set<Int64>, on connectionID: Int64, isLoss: Bool, _ parent: Int64?
  ) async throws -> [JobRequest] {
    guard places.contains(where: { $0.hasAudience || $0.needsAudience }) else { return [] }
    var room = try await roomForSubscribed(on: connectionID)
    var (joined, promoted, demoted): ([Int64], [HeldPlace], [HeldPlace]) = ([], [], [])
    for place in places {
      switch (place.needsAudience, place.hasAudience) {
      case (true, true): joined += [place.audience].compactMap(\.self)
      case (true, false) where room > 0:
        promoted.append(place)
        room -= 1
      case (true, false) where added.contains(place.id):
        if let holders = place.holders, holders > FormLimits.mostDirectGrantees {
          throw try await noRoom(
            on: connectionID, place.id == place.database ? "a database" : "a schema",
            "would have \(holders) users with direct grants")
        }
      case (false, true): demoted.append(place)
      default: break
      }
    }
    joined += try await promote(promoted.map { ($0.id, .read, "prerequisites \($0.id)") }, on: connectionID)
    try await demote(demoted.compactMap(\.audience))
    return try await jobs(
      joined: joined, demoted: demoted.map { ($0.id, $0.database) }, on: connectionID, isLoss: isLoss, parent)
  }

  /// Those of these data sources, given with their subscribers, whose audiences have to stay: without one, its
  /// subscribers would need the audience of their schema or database before they are its members.
  func crowdedTables(_ tables: [Int64: Int]) async throws -> Set<Int64> {
    var crowded: Set<Int64> = []
    for (table, subscribers) in tables {
      let places = try await heldPlaces(try await placesAround([table]), true)
      let isCrowded = places.contains { place in
        place.form == .joining
          || !place.hasAudience && (place.holders ?? 0) + subscribers > FormLimits.directGrantees
      }
      if isCrowded { crowded.insert(table) }
    }
    return crowded
  }

  private func heldPlaces(_ ids: [Int64], _ isCountingAll: Bool) async throws -> [HeldPlace] {
    guard !ids.isEmpty else { return [] }
    return try await connection.query(
      statement(PackageResources.count_holders_sql),
      [.int8Array(ids), .bool(isCountingAll), .int8(Int64(FormLimits.directGrantees))]
    ).rows.map { row in
      HeldPlace(
        id: try row.int("place_id"), connection: try row.int("connection_id"), database: try row.int("database_id"),
        holders: try row.optionalInt("holders").map(Int.init), audience: try row.optionalInt("audience_id"),
        form: try row.optionalText("form").flatMap(AccessForm.init(rawValue:)))
    }
  }
}
