import Governance
import Metadata
import Postgres

/// Where the target has the securables of a database: their numbers in the metadata database against their OIDs.
struct SecurablePlaces: Sendable {
  private var placesByID: [Int64: SecurableOID] = [:]
  private var idsByPlace: [SecurableOID: Int64] = [:]

  subscript(_ id: Int64) -> SecurableOID? { placesByID[id] }

  func id(of place: SecurableOID) -> Int64? { idsByPlace[place] }

  var tables: Set<UInt32> { Set(idsByPlace.keys.filter { $0.family == .table }.map(\.oid)) }

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
  /// The database, its schemas, and those of its relations that are numbered `ids`, or all. Dropped ones too, if they
  /// are named or have direct grants: the target may have them still, as a partition or in another schema.
  func places(in database: Int64, of ids: Set<Int64>, everything: Bool) async throws -> SecurablePlaces {
    let rows = try await connection.query(
      """
      select id, kind, oid from securable s
      where id = $1 or database_id = $1 and (kind = 'schema' or id = any ($2)
        or $3 and (dropped_at is null or exists (select from managed_grant where securable_id = s.id)))
      order by dropped_at desc nulls first, id desc
      """, [.int8(database), .int8Array(Array(ids)), .bool(everything)]
    ).rows
    var places = SecurablePlaces()
    for row in rows {
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { continue }
      places.add(
        try row.int("id"), SecurableOID(kind: kind, oid: UInt32(truncatingIfNeeded: try row.int("oid"))))
    }
    return places
  }
}
