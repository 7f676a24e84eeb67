import Governance
import Platform
import Postgres

/// Subscriptions by hand to data sources that have very many: an audience for each access stands for them.
///
/// Nobody loses access on the way. Until every subscriber has joined the audience, whoever holds grants directly keeps
/// them; and the transaction that grants to the users again is the one that takes the audience's grants away.
extension MetadataSession {
  private struct Place {
    let securable: Int64
    let connection: Int64
    let database: Int64
    let access: AccessLevel
    let subscribers: Int
    let audience: Int64?
    let form: AccessForm?
  }

  /// Brings the forms of these data sources' subscriptions to their numbers, after a change of all of them, and those of
  /// the prerequisites in their schemas and databases.
  ///
  /// - Parameters:
  ///   - added: those of them that have new subscriptions
  ///   - isLoss: whether somebody lost a subscription; such work goes first
  /// - Returns: the jobs that the change needs beside those in the data sources' databases, not submitted yet
  /// - Throws: `refused` if an added subscription is one too many to be granted directly, or its user one too many to
  ///   hold USAGE or CONNECT directly, and the role budget has no room
  package func placeSubscriptions(
    on securables: [Int64], added: Set<Int64> = [], isLoss: Bool, parent: Int64? = nil
  ) async throws -> [JobRequest] {
    try await placeTables(on: securables, added: added, isLoss: isLoss, parent: parent)
      + placePrerequisites(
        in: placesAround(securables), added: Set(placesAround(Array(added))), isCountingAll: isLoss, isLoss: isLoss,
        parent: parent)
  }

  /// Brings the forms of these data sources' subscriptions to their numbers.
  ///
  /// - Parameters:
  ///   - changed: those of them whose subscriptions have changed; nil for all of them
  ///   - added: those of them that have new ones
  ///   - isLoss: whether somebody lost a subscription; such work goes first
  /// - Returns: the jobs that the change needs beside those in the data sources' databases, not submitted yet
  /// - Throws: `refused` if an added subscription is one too many to be granted directly, and the role budget has no room
  package func placeTables(
    on securables: [Int64], changed: Set<Int64>? = nil, added: Set<Int64> = [], isLoss: Bool, parent: Int64? = nil
  ) async throws -> [JobRequest] {
    let concerned = Set(try await places(of: securables).map(\.connection)).sorted()
    if concerned.isEmpty { return [] }
    // Two that each see only their own new subscribers would both leave them direct.
    for id in concerned { try await lockForms(of: id) }
    let all = try await places(of: securables)
    var requests: [JobRequest] = []
    for (connection, places) in Dictionary(grouping: all, by: \.connection).sorted(by: { $0.key < $1.key }) {
      requests += try await place(places, changed, added, on: connection, isLoss: isLoss, parent)
    }
    return requests
  }

  private func place(
    _ places: [Place], _ changed: Set<Int64>?, _ added: Set<Int64>, on connectionID: Int64, isLoss: Bool,
    _ parent: Int64?
  ) async throws -> [JobRequest] {
    var room = try await roomForSubscribed(on: connectionID)
    var (joined, promoted, demoted): ([Int64], [Place], [Place]) = ([], [], [])
    for (securable, group) in Dictionary(grouping: places, by: \.securable).sorted(by: { $0.key < $1.key }) {
      let has = group.contains { $0.form?.hasRole == true }
      let subscribers = group.map(\.subscribers).reduce(0, +)
      let needs = FormLimits.needsAudience(subscribers: subscribers, hasOne: has)
      for place in group {
        switch (needs, place.form?.hasRole == true) {
        case (true, true) where changed?.contains(place.securable) ?? true:
          joined += [place.audience].compactMap(\.self)
        case (true, false) where place.subscribers > 0 && room > 0:
          promoted.append(place)
          room -= 1
        case (true, false) where added.contains(securable) && place.subscribers > 0:
          if subscribers > FormLimits.mostDirectGrantees { throw try await noRoom(on: connectionID, subscribers) }
        case (false, true): demoted.append(place)
        default: break
        }
      }
    }
    if !demoted.isEmpty {
      let crowded = try await crowdedTables(
        Dictionary(demoted.map { ($0.securable, $0.subscribers) }, uniquingKeysWith: +))
      joined += demoted.filter { crowded.contains($0.securable) }.compactMap(\.audience)
      demoted.removeAll { crowded.contains($0.securable) }
    }
    joined += try await promote(
      promoted.map { ($0.securable, $0.access, "subscribed \($0.access.rawValue) \($0.securable)") }, on: connectionID)
    try await demote(demoted.compactMap(\.audience))
    return try await jobs(
      joined: joined, demoted: demoted.map { ($0.securable, $0.database) }, on: connectionID, isLoss: isLoss, parent)
  }

  private func noRoom(on connectionID: Int64, _ subscribers: Int) async throws -> MetadataError {
    try await noRoom(on: connectionID, "a data source", "would have \(subscribers) subscribers by hand")
  }
}

// What data sources have in common with schemas and databases.
extension MetadataSession {
  /// Held until the transaction ends: two that each see only their own new subscribers would both leave them direct.
  func lockForms(of connectionID: Int64) async throws {
    _ = try await connection.query(
      "select pg_advisory_xact_lock(hashtextextended('subscribed ' || $1::bigint, 0))", [.int8(connectionID)])
  }

  func noRoom(on connectionID: Int64, _ what: String, _ finding: String) async throws -> MetadataError {
    let target = try await connection(id: connectionID)
    return MetadataError(
      .refused,
      "\(what) of \(target.name) \(finding): more than "
        + "\(FormLimits.mostDirectGrantees) need an audience, for which its role budget of \(target.roleBudget) has no "
        + "room; raise it: sluice connection update \(target.name) --role-budget N")
  }

  func demote(_ audiences: [Int64]) async throws {
    guard !audiences.isEmpty else { return }
    _ = try await connection.query("update audience set form = 'direct' where id = any ($1)", [.int8Array(audiences)])
  }

  /// - Parameters:
  ///   - joined: audiences whose members may have changed
  ///   - demoted: securables that have no audience any more
  func jobs(
    joined: [Int64], demoted: [(securable: Int64, database: Int64)], on connectionID: Int64, isLoss: Bool,
    _ parent: Int64?
  ) async throws -> [JobRequest] {
    var requests: [JobRequest] = []
    if !joined.isEmpty {
      let roles = try await lane(.roles, of: connectionID).id
      requests += joined.map {
        JobRequest(
          lane: roles, kind: isLoss ? .revoke : .subscribe, jobClass: isLoss ? .revoke : .interactive,
          scope: .audience($0), parent: parent)
      }
    }
    for place in demoted {
      requests.append(
        JobRequest(
          lane: try await lane(ofDatabase: place.database).id, kind: .subscribe, jobClass: .interactive,
          scope: .securable(place.securable), parent: parent))
    }
    return requests
  }

  /// Gives securables audiences, and says which.
  func promote(
    _ places: [(securable: Int64, access: AccessLevel, key: String)], on connectionID: Int64
  ) async throws -> [Int64] {
    guard !places.isEmpty else { return [] }
    let rows = try await connection.query(
      statement(PackageResources.promote_subscriptions_sql),
      [
        .int8(connectionID), .int8Array(places.map(\.securable)), .textArray(places.map(\.access.rawValue)),
        .textArray(places.map(\.key)),
        .textArray(try await roleNames(of: connectionID, places.map { ($0.key, $0.access) })),
      ]
    ).rows
    return try rows.map { try $0.int("id") }
  }

  /// How many more audiences subscriptions may have. They come before those of policies, which have to make do with the
  /// rest from the next evaluation on.
  func roomForSubscribed(on connectionID: Int64) async throws -> Int {
    Int(
      try await connection.query(
        """
        select role_budget - (select count(*) from audience
          where connection_id = $1 and securable_id is not null and form in ('joining', 'audience')) as room
        from connection where id = $1
        """, [.int8(connectionID)]
      ).rows[0].int("room"))
  }

  private func places(of securables: [Int64]) async throws -> [Place] {
    guard !securables.isEmpty else { return [] }
    return try await connection.query(
      statement(PackageResources.count_subscribers_sql),
      [.int8Array(securables), .int8(Int64(FormLimits.fewestSubscribers))]
    ).rows.map { row in
      Place(
        securable: try row.int("securable_id"), connection: try row.int("connection_id"),
        database: try row.int("database_id"), access: try row.text("access") == "write" ? .write : .read,
        subscribers: Int(try row.int("subscribers")), audience: try row.optionalInt("audience_id"),
        form: try row.optionalText("form").flatMap(AccessForm.init(rawValue:)))
    }
  }

  /// Ends the joining of those of these audiences whose every member is among the ones that were read back in the
  /// target, and submits what takes the members' own grants away.
  ///
  /// - Parameters:
  ///   - audiences: roles, each with one of its members in `members`, or with a name that no role can have
  package func finishJoining(
    of connectionID: Int64, roles: [String], audiences: [String], members: [String]
  ) async throws {
    // Whoever evaluates or promotes meanwhile must not find the form as it was.
    try await lock(connection: connectionID)
    let rows = try await connection.query(
      statement(PackageResources.finish_joining_sql),
      [.int8(connectionID), .textArray(roles), .textArray(audiences), .textArray(members)]
    ).rows
    _ = try await submit(
      try rows.map { row in
        JobRequest(
          lane: try row.int("lane_id"), kind: .subscribe, jobClass: .interactive,
          scope: .securable(try row.int("securable_id")))
      })
  }
}
