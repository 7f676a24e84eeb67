import Governance
import Platform
import Postgres

/// An audience as compiled from policies, before it is stored.
package struct AudienceDraft: Sendable {
  package let key: String
  package let access: AccessLevel
  package let condition: String
  package let policies: [String]
  package let members: [Int64]
  package let securables: [Int64]
  /// As chosen. One that is to have a role and has none is stored as `joining`, if its members hold grants meanwhile.
  package let form: AccessForm

  package init(
    key: String, access: AccessLevel, condition: String, policies: [String], members: [Int64], securables: [Int64],
    form: AccessForm = .audience
  ) {
    self.key = key
    self.access = access
    self.condition = condition
    self.policies = policies
    self.members = members
    self.securables = securables
    self.form = form
  }
}

/// A draft with its place in the store.
private struct PlacedDraft {
  let draft: AudienceDraft
  let role: String
  let form: AccessForm

  var standing: AudienceStanding {
    AudienceStanding(form: form, members: Set(draft.members), tables: Set(draft.securables))
  }
}

extension MetadataSession {
  /// Replaces the audiences of a connection that policies ask for by the drafts, and says what that changed.
  ///
  /// Runs in a transaction; one evaluation of a connection at a time, because the second waits for the first here.
  package func replaceAudiences(of connectionID: Int64, by drafts: [AudienceDraft]) async throws -> AudienceChanges {
    try await lock(connection: connectionID)
    let known = try await knownAudiences(of: connectionID)
    let names = try await roleNames(of: connectionID, drafts.map { ($0.key, $0.access) })
    let placed = zip(drafts, names).map { draft, role in
      PlacedDraft(draft: draft, role: role, form: Self.stored(draft.form, after: known[role]?.form))
    }
    let wanted = Dictionary(placed.map { ($0.role, $0) }) { first, _ in first }
    // Those of which members hold grants of their own, now or then, and those that change their form.
    let moving = known.filter { role, audience in
      AudienceStanding(form: audience.form).isHeldDirectly || wanted[role].map { $0.form != audience.form } ?? false
    }
    let before = try await standings(of: moving)
    let ids = try await upsert(placed, of: connectionID)
    var (changes, isMoving) = (AudienceChanges(), Set<Int64>())
    var steps: [(id: Int64, before: AudienceStanding?, after: AudienceStanding)] = []
    for (role, standing) in before {
      guard let id = known[role]?.id else { continue }
      steps.append((id, standing, wanted[role]?.standing ?? AudienceStanding(form: standing.form)))
    }
    for (item, id) in zip(placed, ids) where known[item.role] == nil && item.form != .audience {
      steps.append((id, nil, item.standing))
    }
    isMoving.formUnion(steps.map(\.id))
    try await replaceContents(of: connectionID, zip(placed, ids).map { ($0, $1) }, &changes, except: isMoving)
    let databases = try await databases(of: Set(steps.flatMap { ($0.before?.tables ?? []).union($0.after.tables) }))
    for step in steps { changes.note(step.id, from: step.before, to: step.after, databases: databases) }
    for (role, audience) in known {
      let form = wanted[role]?.form
      if form == nil || audience.form.hasRole && form?.hasRole == false { changes.obsolete[audience.id] = role }
    }
    return changes
  }

  /// What held grants directly goes on doing so until the role can take over.
  private static func stored(_ form: AccessForm, after present: AccessForm?) -> AccessForm {
    form == .audience && (present == .direct || present == .joining) ? .joining : form
  }

  /// Those that policies ask for, by role.
  private func knownAudiences(of connectionID: Int64) async throws -> [String: (id: Int64, form: AccessForm)] {
    let rows = try await connection.query(
      "select id, role, form from audience where connection_id = $1 and securable_id is null", [.int8(connectionID)]
    ).rows
    return try Dictionary(
      uniqueKeysWithValues: rows.map { row in
        guard let form = AccessForm(rawValue: try row.text("form")) else {
          throw MetadataError(.corrupt, "audience \(try row.text("role")) was written by another version")
        }
        return (try row.text("role"), (try row.int("id"), form))
      })
  }

  private func standings(
    of audiences: [String: (id: Int64, form: AccessForm)]
  ) async throws -> [String: AudienceStanding] {
    guard !audiences.isEmpty else { return [:] }
    let rows = try await connection.query(
      """
      select a.role, array(select identity_id from audience_member where audience_id = a.id) as members,
        array(select securable_id from audience_securable where audience_id = a.id) as tables
      from audience a where a.id = any ($1)
      """, [.int8Array(audiences.values.map(\.id))]
    ).rows
    var standings: [String: AudienceStanding] = [:]
    for row in rows {
      let role = try row.text("role")
      standings[role] = AudienceStanding(
        form: audiences[role]?.form ?? .audience, members: Set(try row.intArray("members")),
        tables: Set(try row.intArray("tables")))
    }
    return standings
  }

  /// The databases of data sources.
  package func databases(of securables: Set<Int64>) async throws -> [Int64: Int64] {
    guard !securables.isEmpty else { return [:] }
    let rows = try await connection.query(
      "select id, database_id from securable where id = any ($1) and database_id is not null",
      [.int8Array(Array(securables))]
    ).rows
    return try Dictionary(uniqueKeysWithValues: rows.map { (try $0.int("id"), try $0.int("database_id")) })
  }

  /// The names of audiences' roles: they tell the access, and nothing else that could change.
  func roleNames(of connectionID: Int64, _ audiences: [(key: String, access: AccessLevel)]) async throws -> [String] {
    let installation = try await installation()
    return audiences.map { key, access in
      "sluice_\(access == .write ? "w" : "r")_\(ShortHash.base32(of: "\(installation)/\(connectionID)/\(key)"))"
    }
  }

  private func upsert(_ placed: [PlacedDraft], of connectionID: Int64) async throws -> [Int64] {
    let drafts = placed.map(\.draft)
    let rows = try await connection.query(
      statement(PackageResources.upsert_audiences_sql),
      [
        .int8(connectionID), .textArray(drafts.map(\.key)), .textArray(drafts.map(\.access.rawValue)),
        .textArray(drafts.map(\.condition)), .textArray(placed.map(\.role)),
        .textArray(drafts.map { $0.policies.joined(separator: "\u{1f}") }), .textArray(placed.map(\.form.rawValue)),
      ]
    ).rows
    var byRole: [String: Int64] = [:]
    for row in rows { byRole[try row.text("role")] = try row.int("id") }
    return try placed.map { item in
      guard let id = byRole[item.role] else { throw MetadataError(.corrupt, "audience \(item.role) was not stored") }
      return id
    }
  }

  /// Up to as many users whose memberships change are looked at one by one: a job for each costs more in the ledger than
  /// reading all members of their audiences in the target, once they are more.
  private static let fewUsers = 20

  /// Stores members and data sources, and notes what that changed, but of those that are moving.
  private func replaceContents(
    of connectionID: Int64, _ placed: [(PlacedDraft, Int64)], _ changes: inout AudienceChanges,
    except moving: Set<Int64>
  ) async throws {
    func pairs(_ contents: KeyPath<AudienceDraft, [Int64]>) -> [PostgresValue] {
      let owners = placed.flatMap { item, id in Array(repeating: id, count: item.draft[keyPath: contents].count) }
      return [.int8(connectionID), .int8Array(owners), .int8Array(placed.flatMap { $0.0.draft[keyPath: contents] })]
    }
    let members = try await connection.query(
      statement(PackageResources.replace_audience_members_sql), pairs(\.members) + [.int(Self.fewUsers)]
    ).rows
    let securables = try await connection.query(
      statement(PackageResources.replace_audience_securables_sql), pairs(\.securables)
    ).rows
    for row in members + securables where !moving.contains(try row.int("audience_id")) {
      let isLoss = try row.bool("is_loss")
      if let role = try row.optionalText("role") {
        changes.users[role] = changes.users[role, default: false] || isLoss
      } else {
        let place = AudienceChanges.Place(
          audience: try row.int("audience_id"), database: try row.optionalInt("database_id"))
        changes.note(place, isLoss: isLoss)
      }
    }
  }

  /// Forgets audiences whose roles are gone from the target, unless an evaluation has asked for them again meanwhile.
  package func removeAudiences(roles: [String], of connectionID: Int64) async throws {
    _ = try await connection.query(
      """
      delete from audience a where connection_id = $1 and role = any ($2)
        and (securable_id is not null and form = 'direct'
          or not exists (select from audience_member where audience_id = a.id)
            and not exists (select from audience_securable where audience_id = a.id))
      """, [.int8(connectionID), .textArray(roles)])
  }
}
