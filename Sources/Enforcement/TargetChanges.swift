import Metadata
import Platform
import Postgres

/// What may have changed in a database of a target since it was last compared.
///
/// Every change of an access control list, an owner or a name writes a catalog row, with the number of the transaction
/// that did it (GRANTS.md d-7). So rows that bear no number from the last mark on are as they were: no list is read, and
/// nothing is kept of each relation. What a transaction wrote that was still running then has a number from the mark on.
struct TargetChanges: Sendable {
  /// Numbers further apart have wrapped around.
  private static let longestDistance: Int64 = 1 << 30

  /// Where the next look begins, if this one ends well.
  let mark: SweepMark
  /// Nothing is known of what has changed, or something that all relations depend on has, or who may reach them has.
  let isWhole: Bool
  let relations: Set<UInt32>
  /// What those of them are called that have changed themselves.
  let named: [(oid: UInt32, schema: String, name: String)]

  var isEmpty: Bool { !isWhole && relations.isEmpty }

  /// - Parameters:
  ///   - last: nil to compare everything
  ///   - reach: what `DatabaseRun.reachToken` says now
  static func read(
    since last: SweepMark?, reach: String, in session: PostgresConnection
  ) async throws -> TargetChanges {
    let rows = try await session.query(
      statement(PackageResources.changed_relations_sql), [.optional(last?.horizon)]
    ).rows
    var (mark, isWhole, relations) = (SweepMark(horizon: 0, serverStart: ""), false, Set<UInt32>())
    var named: [(oid: UInt32, schema: String, name: String)] = []
    for row in rows {
      switch try row.text("family") {
      case "server":
        mark = SweepMark(
          horizon: try row.int("horizon"), serverStart: try row.text("server_start"), reach: reach)
      case "relation":
        let oid = UInt32(truncatingIfNeeded: try row.int("oid"))
        relations.insert(oid)
        if let name = try row.optionalText("name") { named.append((oid, try row.text("schema"), name)) }
      // USAGE and CONNECT: whoever has anything below may have lost them. A function may give the rows of any relation.
      default: isWhole = true
      }
    }
    if let last {
      let distance = mark.horizon - last.horizon
      let isKnown =
        last.serverStart == mark.serverStart && 0...longestDistance ~= distance && last.reach == reach
      isWhole = isWhole || !isKnown
    }
    return TargetChanges(mark: mark, isWhole: isWhole || last == nil, relations: relations, named: named)
  }
}

extension DatabaseRun {
  /// Differs whenever somebody may reach more of the data sources by something else than a change of a relation: accounts,
  /// what is enabled, and in the target attributes of roles and memberships, which have no number that a login may read
  /// of the one, and leave no row of the other where they end.
  func reachToken(in session: PostgresConnection) async throws -> String {
    let (token, kinds) = try await metadata.read {
      (
        try await $0.reachToken(connection: connection.id, database: database),
        try await $0.roleKinds(of: connection.id, among: [], everything: false)
      )
    }
    let rows = try await session.query(
      statement(PackageResources.reach_token_sql), [.textArray(Array(kinds.keys))]
    ).rows
    return ShortHash.base32(of: "\(token) \(try rows[0].text("token"))")
  }
}
