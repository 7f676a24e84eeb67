import Platform
import Postgres

/// Changing registered connections. Secrets are replaced by `replaceSecret`.
extension MetadataSession {
  /// Stores what an operator may change of a connection: everything but its name, kind, state and secret; and submits
  /// what that changes for its data sources, or for all of it if it may be another instance now.
  package func update(_ changed: Connection) async throws -> [SubmittedJob] {
    try await lock(connection: changed.id)
    let before = try await connection(id: changed.id)
    try await store(changed)
    // What was only told is to be mended now.
    if before.driftMode != changed.driftMode || !before.isSamePlace(as: changed) {
      try await forgetSweeps(of: changed.id)
    }
    return try await submitUpdate(from: before, to: changed)
  }

  /// A connection that is being left gets its jobs when it returns.
  private func submitUpdate(from before: Connection, to after: Connection) async throws -> [SubmittedJob] {
    guard ![.inactive, .deleting, .deleted].contains(before.state) else { return [] }
    if !before.isSamePlace(as: after) { return try await submitReturn(to: after.id) }
    let evaluation = JobRequest(
      lane: try await lane(.governance, of: after.id).id, kind: .evaluate, jobClass: .interactive, scope: .governance)
    guard before.enablesNewDataSources != after.enablesNewDataSources else {
      return before.roleBudget == after.roleBudget ? [] : try await submit([evaluation])
    }
    let pairs = try await subscribedPairs(of: after.id)
    try await barByGuardrails(identities: pairs.identities, securables: pairs.securables)
    return try await submit(
      try await comparisons(of: after.id, isLoss: !after.enablesNewDataSources) + [evaluation])
  }

  private func store(_ changed: Connection) async throws {
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
        .text(changed.defaultPolicy), .int8(Int64(changed.roleBudget)), .int8(changed.sweepEverySeconds),
        .text(changed.driftMode.rawValue),
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

  /// As `submitLeave`, of the databases that came after it.
  package func submitMissingLeaves(of connectionID: Int64) async throws {
    let left = Set(
      try await connection.query(
        """
        select distinct l.id from lane l join job j on j.lane_id = l.id
        where l.connection_id = $1 and j.scope ->> 'subject' = 'leave'
        """, [.int8(connectionID)]
      ).rows.map { try $0.int("id") })
    _ = try await submit(
      try await lanes(of: connectionID).filter { $0.kind == .database && !left.contains($0.id) }.map {
        JobRequest(lane: $0.id, kind: .revoke, jobClass: .revoke, scope: .leave)
      })
  }

  /// The last job that left each database that still exists, as far as there is one.
  package func lastLeaves(
    of connectionID: Int64
  ) async throws -> [(job: Int64, database: String, state: JobState, error: String?)] {
    try await connection.query(
      """
      select distinct on (l.id) j.id, d.name as database, j.state, j.error
      from job j join lane l on l.id = j.lane_id join securable d on d.id = l.database_id
      where l.connection_id = $1 and d.dropped_at is null and j.scope ->> 'subject' = 'leave'
      order by l.id, j.finished_at desc nulls first, j.id desc
      """, [.int8(connectionID)]
    ).rows.map { row in
      guard let state = JobState(rawValue: try row.text("state")) else {
        throw MetadataError(.corrupt, "job \(try row.int("id")) was written by another version")
      }
      return (try row.int("id"), try row.text("database"), state, try row.optionalText("error"))
    }
  }

  /// Tells why a connection that is being deleted is still there.
  package func noteLeaving(of connectionID: Int64, _ reason: String) async throws {
    _ = try await connection.query(
      "update connection set state_reason = $2 where id = $1 and state = 'deleting'",
      [.int8(connectionID), .text(reason)])
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
    // Guardrails that came while nothing was enabled could not be decided then.
    let pairs = try await subscribedPairs(of: connectionID)
    try await barByGuardrails(identities: pairs.identities, securables: pairs.securables)
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

extension Connection {
  /// Whether it leads to the same instance, by the same role; grants of another role are not ours.
  fileprivate func isSamePlace(as other: Connection) -> Bool {
    host == other.host && hostAddress == other.hostAddress && port == other.port && database == other.database
      && username == other.username && workspaceURL == other.workspaceURL && instance == other.instance
  }
}
