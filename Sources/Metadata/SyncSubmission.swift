import Governance
import Postgres

/// Object syncs of many places by set operations, one or fifty thousand alike.
extension MetadataSession {
  /// Where the sync of a path is worked, and what it is about.
  package struct SyncPlace: Sendable {
    fileprivate let lane: Int64
    fileprivate let scope: JobScope
  }

  /// Checks paths against connections and tree. Faults come back by the index of their path; nothing is changed.
  package func resolveSyncs(
    of paths: [SecurablePath]
  ) async throws -> (places: [SyncPlace], faults: [Int: MetadataError]) {
    guard !paths.isEmpty else { return ([], [:]) }
    let rows = try await connection.query(
      statement(PackageResources.resolve_syncs_sql),
      [
        .textArray(paths.map(\.connection)), .textArray(paths.map(\.database)), .textArray(paths.map(\.schema)),
        .textArray(paths.map(\.table)),
      ]
    ).rows
    var places: [SyncPlace] = []
    var faults: [Int: MetadataError] = [:]
    for (index, row) in rows.enumerated() {
      if let fault = try Self.fault(of: paths[index], row) {
        faults[index] = fault
      } else {
        places.append(SyncPlace(lane: try row.int("lane_id"), scope: try Self.scope(of: paths[index], row)))
      }
    }
    return (places, faults)
  }

  /// Submits the syncs of places that `resolveSyncs` found.
  package func submitSyncs(of places: [SyncPlace]) async throws -> [SubmittedJob] {
    try await submit(places.map { JobRequest(lane: $0.lane, kind: .sync, jobClass: .bulk, scope: $0.scope) })
  }

  private static func fault(of path: SecurablePath, _ row: PostgresRow) throws -> MetadataError? {
    if path.level > .table {
      return MetadataError(.refused, "\(path) is a column: a sync is of a connection, database, schema or table")
    }
    switch try row.optionalText("state") {
    case nil:
      return MetadataError(.notFound, "there is no connection \"\(path.connection)\"; see: sluice connection list")
    case "inactive": return MetadataError(.refused, "connection \(path.connection) is inactive; activate it first")
    case "deleting": return MetadataError(.refused, "connection \(path.connection) is being deleted")
    default: break
    }
    guard try row.optionalInt("lane_id") != nil, try row.bool("is_found") else {
      return MetadataError(
        .notFound, "there is no \(path) in the tree as of the last sync; see: sluice tree \(path.connection)")
    }
    return nil
  }

  private static func scope(of path: SecurablePath, _ row: PostgresRow) throws -> JobScope {
    guard path.level != .connection else { return .connection }
    let id = try row.int("securable_id")
    return switch path.level {
    case .connection, .database: .database(id)
    case .schema: .schema(id)
    case .table, .column: .relation(id)
    }
  }
}
