import Governance
import Metadata
import Postgres

/// The relations whose rows something gives: a view, a parent or a partition those of others.
struct CarriedRelations: Sendable {
  /// By the roles that own or hold something that gives them; nil where that may be any relation.
  private(set) var byRole: [String: Set<UInt32>?] = [:]
  private(set) var byRelations: Set<UInt32> = []
  /// How many more there are.
  private(set) var unread = 0

  /// - Parameter dataSources: of which others are left out; nil for none
  static func read(
    roles: [String] = [], relations: Set<UInt32> = [], dataSources: Set<UInt32>? = nil, limit: Int = .max,
    in session: PostgresConnection
  ) async throws -> CarriedRelations {
    var carried = CarriedRelations()
    let rows = try await session.query(
      statement(PackageResources.carried_relations_sql),
      [
        .textArray(roles), .int8Array(relations.map(Int64.init)),
        dataSources.map { .int8Array($0.map(Int64.init)) } ?? .null, .int(limit),
      ]
    ).rows
    for row in rows {
      let oid = try row.optionalInt("oid").map { UInt32(truncatingIfNeeded: $0) }
      if let role = try row.optionalText("role") {
        guard let oid else {
          carried.byRole.updateValue(nil, forKey: role)
          continue
        }
        if let known = carried.byRole[role] {
          if known != nil { carried.byRole[role]??.insert(oid) }
        } else {
          carried.byRole[role] = [oid]
        }
      } else if let oid {
        carried.byRelations.insert(oid)
      }
    }
    if let row = rows.first { carried.unread = Int(try row.int("all")) - rows.count }
    return carried
  }
}
