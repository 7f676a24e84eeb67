import Platform
import Postgres

/// Changing registered connections. Secrets are replaced by `replaceSecret`.
extension MetadataSession {
  /// Stores what an operator may change of a connection: everything but its name, kind, state and secret.
  package func update(_ changed: Connection) async throws {
    var instanceName: String?
    var endpoint: String?
    switch changed.instance {
    case .named(let name): instanceName = name
    case .endpoint(let path): endpoint = path
    case nil: break
    }
    _ = try await connection.query(
      statement(PackageResources.update_connection_sql),
      [
        .int8(changed.id), .text(changed.host), .optional(changed.hostAddress), .int8(Int64(changed.port)),
        .text(changed.database), .text(changed.username), .text(changed.tls.rawValue),
        .optional(changed.workspaceURL), .optional(instanceName), .optional(endpoint),
        .int8(changed.syncEverySeconds), .text(changed.enablesNewDataSources ? "enabled" : "disabled"),
        .text(changed.defaultPolicy),
      ])
  }

  /// Everything that Sluice granted through a connection is revoked, in every database that the last sync saw; when
  /// the connection is being deleted, its roles go too.
  package func submitLeave(of connectionID: Int64) async throws -> [SubmittedJob] {
    try await submit(
      try await lanes(of: connectionID).filter { $0.kind != .governance }.map {
        JobRequest(lane: $0.id, kind: .revoke, jobClass: .revoke, scope: .leave)
      })
  }

  /// A connection that is active again: its tree is read afresh, and what is enabled in it is granted again, to users
  /// and audiences, with the audiences' members.
  package func submitReturn(to connectionID: Int64) async throws -> [SubmittedJob] {
    let requests = [
      JobRequest(
        lane: try await lane(.roles, of: connectionID).id, kind: .sync, jobClass: .bulk, scope: .connection),
      JobRequest(
        lane: try await lane(.governance, of: connectionID).id, kind: .evaluate, jobClass: .interactive,
        scope: .governance),
    ]
    return try await submit(try await requests + comparisons(of: connectionID, isLoss: false))
  }

  /// A comparison of everything in each lane of a connection that has a target.
  ///
  /// - Parameter isLoss: whether something may have to be taken away; such work goes first.
  func comparisons(of connectionID: Int64, isLoss: Bool) async throws -> [JobRequest] {
    try await lanes(of: connectionID).filter { $0.kind != .governance }.map {
      JobRequest(
        lane: $0.id, kind: isLoss ? .revoke : .subscribe, jobClass: isLoss ? .revoke : .bulk, scope: .everything)
    }
  }
}
