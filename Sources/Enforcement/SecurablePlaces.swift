import Governance
import Metadata
import Postgres

/// Where the target has the securables of a database: their numbers in the metadata database against their OIDs.
struct SecurablePlaces: Sendable {
  private var placesByID: [Int64: SecurableOID] = [:]
  private var idsByPlace: [SecurableOID: Int64] = [:]

  subscript(_ id: Int64) -> SecurableOID? { placesByID[id] }

  func id(of place: SecurableOID) -> Int64? { idsByPlace[place] }

  /// The numbers of the relations, and those of the schemas and the database.
  var relationIDs: [Int64] { placesByID.filter { $0.value.family == .table }.map(\.key) }
  var prerequisiteIDs: [Int64] { placesByID.filter { $0.value.family < .table }.map(\.key) }

  /// The first number that comes for a place is the one that it has; older ones only lead there.
  mutating func add(_ id: Int64, _ place: SecurableOID) {
    placesByID[id] = place
    if idsByPlace[place] == nil { idsByPlace[place] = id }
  }

  /// A remembered grant as the target would have it; nil if it is in another database.
  func grant(_ managed: ManagedGrant) -> Grant? {
    guard let place = placesByID[managed.securable] else { return nil }
    // best effort: a role that PostgreSQL cannot have was never granted anything
    guard let role = try? RoleName(managed.role) else { return nil }
    return Grant(grantee: role, securable: place, privilege: managed.privilege)
  }

  /// A grant as it is remembered.
  func managed(_ grant: Grant) -> ManagedGrant? {
    id(of: grant.securable).map {
      ManagedGrant(role: grant.grantee.value, securable: $0, privilege: grant.privilege)
    }
  }
}

extension MetadataSession {
  /// The relations that are numbered `ids`. Dropped ones too: the target may have them still, as a partition or in
  /// another schema.
  func places(in database: Int64, of ids: Set<Int64>) async throws -> SecurablePlaces {
    try await places(
      """
      select id, kind, oid from securable where database_id = $1 and kind <> 'schema' and id = any ($2)
      order by dropped_at desc nulls first, id desc
      """, [.int8(database), .int8Array(Array(ids))])
  }

  /// The database, its schemas, and its relations at these OIDs, dropped ones too.
  func places(in database: Int64, at oids: Set<UInt32>) async throws -> SecurablePlaces {
    try await places(
      """
      select id, kind, oid from securable
      where id = $1 or database_id = $1 and (kind = 'schema' or oid = any ($2))
      order by dropped_at desc nulls first, id desc
      """, [.int8(database), .int8Array(oids.map(Int64.init))])
  }

  private func places(_ sql: String, _ parameters: [PostgresValue]) async throws -> SecurablePlaces {
    var places = SecurablePlaces()
    for row in try await connection.query(sql, parameters).rows {
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { continue }
      places.add(
        try row.int("id"), SecurableOID(kind: kind, oid: UInt32(truncatingIfNeeded: try row.int("oid"))))
    }
    return places
  }
}
