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

  package init(
    key: String, access: AccessLevel, condition: String, policies: [String], members: [Int64], securables: [Int64]
  ) {
    self.key = key
    self.access = access
    self.condition = condition
    self.policies = policies
    self.members = members
    self.securables = securables
  }
}

/// What storing audiences changed: which of them, where, and whether somebody lost something.
package struct AudienceChanges: Sendable, Equatable {
  package struct Place: Sendable, Hashable {
    package let audience: Int64
    /// The database, or nil for the audience's members.
    package let database: Int64?
  }

  /// True where something was taken away.
  package var places: [Place: Bool] = [:]
  /// Audiences that no policy asks for any more, by id, with their roles.
  package var obsolete: [Int64: String] = [:]

  package init() {}
}

extension MetadataSession {
  /// Replaces the audiences of a connection by the drafts, and says what that changed.
  ///
  /// Runs in a transaction; one evaluation of a connection at a time, because the second waits for the first here.
  package func replaceAudiences(of connectionID: Int64, by drafts: [AudienceDraft]) async throws -> AudienceChanges {
    try await lock(connection: connectionID)
    let ids = try await upsertAudiences(of: connectionID, drafts)
    var changes = AudienceChanges()
    var (audiences, members): ([Int64], [Int64]) = ([], [])
    var (owners, securables): ([Int64], [Int64]) = ([], [])
    for (draft, id) in zip(drafts, ids) {
      audiences += Array(repeating: id, count: draft.members.count)
      members += draft.members
      owners += Array(repeating: id, count: draft.securables.count)
      securables += draft.securables
    }
    try await note(
      &changes, statement(PackageResources.replace_audience_members_sql),
      [.int8(connectionID), .int8Array(audiences), .int8Array(members)])
    try await note(
      &changes, statement(PackageResources.replace_audience_securables_sql),
      [.int8(connectionID), .int8Array(owners), .int8Array(securables)])
    for row in try await connection.query(
      "select id, role from audience where connection_id = $1 and not id = any ($2)",
      [.int8(connectionID), .int8Array(ids)]
    ).rows {
      changes.obsolete[try row.int("id")] = try row.text("role")
    }
    return changes
  }

  private func upsertAudiences(of connectionID: Int64, _ drafts: [AudienceDraft]) async throws -> [Int64] {
    let installation = try await installation()
    let roles = drafts.map { draft in
      "sluice_\(draft.access == .write ? "w" : "r")_\(ShortHash.base32(of: "\(installation)/\(connectionID)/\(draft.key)"))"
    }
    let rows = try await connection.query(
      statement(PackageResources.upsert_audiences_sql),
      [
        .int8(connectionID), .textArray(drafts.map(\.key)), .textArray(drafts.map(\.access.rawValue)),
        .textArray(drafts.map(\.condition)), .textArray(roles),
        .textArray(drafts.map { $0.policies.joined(separator: "\u{1f}") }),
      ]
    ).rows
    var byRole: [String: Int64] = [:]
    for row in rows { byRole[try row.text("role")] = try row.int("id") }
    return try roles.map { role in
      guard let id = byRole[role] else { throw MetadataError(.corrupt, "audience \(role) was not stored") }
      return id
    }
  }

  private func note(_ changes: inout AudienceChanges, _ sql: String, _ parameters: [PostgresValue]) async throws {
    for row in try await connection.query(sql, parameters).rows {
      let place = AudienceChanges.Place(
        audience: try row.int("audience_id"), database: try row.optionalInt("database_id"))
      let isLoss = try row.bool("is_loss")
      changes.places[place] = changes.places[place, default: false] || isLoss
    }
  }

  /// Forgets audiences whose roles are gone from the target, unless an evaluation has asked for them again meanwhile.
  package func removeAudiences(roles: [String], of connectionID: Int64) async throws {
    _ = try await connection.query(
      """
      delete from audience a where connection_id = $1 and role = any ($2)
        and not exists (select from audience_member where audience_id = a.id)
        and not exists (select from audience_securable where audience_id = a.id)
      """, [.int8(connectionID), .textArray(roles)])
  }
}
