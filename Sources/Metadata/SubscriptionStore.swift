import Governance
import Platform
import Postgres

/// Subscriptions by hand: resolved, stored and submitted by set operations, one or fifty thousand alike.
extension MetadataSession {
  /// Checks requests against users and tree. Faults come back by the index of their request; nothing is changed.
  package func resolve(
    _ requests: [SubscriptionRequest]
  ) async throws -> (resolved: [ResolvedSubscription], faults: [Int: MetadataError]) {
    let rows = try await connection.query(
      statement(PackageResources.resolve_subscriptions_sql),
      [
        .textArray(requests.map(\.user)), .textArray(requests.map(\.path.connection)),
        .textArray(requests.map(\.path.database)), .textArray(requests.map(\.path.schema)),
        .textArray(requests.map(\.path.table)),
      ]
    ).rows
    var resolved: [ResolvedSubscription] = []
    var faults: [Int: MetadataError] = [:]
    for (index, row) in rows.enumerated() {
      let request = requests[index]
      if let fault = try Self.fault(of: request, row) {
        faults[index] = fault
      } else {
        resolved.append(
          ResolvedSubscription(
            request: request, identity: try row.int("identity_id"), securable: try row.int("securable_id"),
            lane: try row.int("lane_id")))
      }
    }
    return (resolved, faults)
  }

  private static func fault(of request: SubscriptionRequest, _ row: PostgresRow) throws -> MetadataError? {
    guard request.path.table != nil else {
      return MetadataError(
        .refused, "\(request.path) is not a data source: a subscription needs connection/database/schema/table")
    }
    if try row.optionalInt("identity_id") == nil {
      return MetadataError(.notFound, "there is no user \"\(request.user)\"; see: sluice user list")
    }
    if try row.optionalInt("securable_id") == nil {
      return MetadataError(
        .notFound, "there is no \(request.path) in the tree as of the last sync; see: sluice tree, or sync it")
    }
    guard request.kind == .subscribe else { return nil }
    if try !row.bool("enabled") {
      return MetadataError(.refused, "\(request.path) is not enabled; enable it with: sluice enable \(request.path)")
    }
    if try !row.bool("has_role") {
      return MetadataError(
        .refused, "user \"\(request.user)\" is mapped to no account on \(request.path.connection)")
    }
    return nil
  }

  /// Changes the desired state and submits the jobs, in the order of the requests, then those for the audiences of data
  /// sources with very many subscribers. A later request for the same user and data source wins over an earlier one.
  package func apply(
    _ resolved: [ResolvedSubscription], jobClass: JobClass = .interactive, actor: String
  ) async throws -> [SubmittedJob] {
    var last: [String: ResolvedSubscription] = [:]
    for item in resolved { last["\(item.identity) \(item.securable)"] = item }
    let wanted = Array(last.values)
    // Before any subscription is locked: an evaluation locks its connection first as well.
    try await holdEvaluations(ofSecurables: wanted.map(\.securable))
    try await store(wanted.filter { $0.request.kind == .subscribe })
    try await remove(wanted.filter { $0.request.kind == .revoke })
    try await audit(
      wanted.map {
        AuditEntry(
          actor: actor, action: $0.request.kind.rawValue, connection: $0.request.path.connection,
          path: $0.request.path.description, identity: $0.request.user,
          detail: $0.request.access.map { ["access": $0.rawValue] } ?? [:])
      })
    let requests = resolved.map { item in
      JobRequest(
        lane: item.lane, kind: item.request.kind == .revoke ? .revoke : .subscribe,
        jobClass: item.request.kind == .revoke ? .revoke : jobClass,
        scope: .subscription(
          identity: item.identity, securable: item.securable, endsSessions: item.request.endsSessions))
    }
    let added = Set(wanted.filter { $0.request.kind == .subscribe }.map(\.securable))
    let isLoss = wanted.contains { $0.request.kind == .revoke }
    return try await submit(
      requests + placeSubscriptions(on: Array(Set(wanted.map(\.securable))), added: added, isLoss: isLoss))
  }

  private func store(_ items: [ResolvedSubscription]) async throws {
    _ = try await connection.query(
      """
      insert into subscription (identity_id, securable_id, access, expires_at)
      select r.identity_id, r.securable_id, r.access, r.expires_at::timestamptz
      from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[])
        as r (identity_id, securable_id, access, expires_at)
      order by 1, 2
      on conflict (identity_id, securable_id) do update set access = excluded.access, expires_at = excluded.expires_at
      """,
      [
        .int8Array(items.map(\.identity)), .int8Array(items.map(\.securable)),
        .textArray(items.map { ($0.request.access ?? .read).rawValue }), .textArray(items.map(\.request.expires)),
      ])
    try await barByGuardrails(identities: items.map(\.identity), securables: items.map(\.securable))
  }

  private func remove(_ items: [ResolvedSubscription]) async throws {
    let reduced = items.filter { $0.request.access == .write }
    let removed = items.filter { $0.request.access != .write }
    let match = """
      from unnest($1::bigint[], $2::bigint[]) as r (identity_id, securable_id)
      where s.identity_id = r.identity_id and s.securable_id = r.securable_id
      """
    _ = try await connection.query(
      "update subscription s set access = 'read' \(match)",
      [.int8Array(reduced.map(\.identity)), .int8Array(reduced.map(\.securable))])
    _ = try await connection.query(
      "delete from subscription s using \(match.dropFirst("from ".count))",
      [.int8Array(removed.map(\.identity)), .int8Array(removed.map(\.securable))])
  }

  /// Ends subscriptions that have expired and submits their revokes; returns how many.
  package func expireSubscriptions(limit: Int) async throws -> Int {
    let rows = try await connection.query(
      statement(PackageResources.expire_subscriptions_sql), [.int8(Int64(limit))]
    ).rows
    let requests = try rows.map { row in
      JobRequest(
        lane: try row.int("lane_id"), kind: .revoke, jobClass: .revoke,
        scope: .subscription(identity: try row.int("identity_id"), securable: try row.int("securable_id")))
    }
    let securables = Set(try rows.map { try $0.int("securable_id") })
    _ = try await submit(requests + placeSubscriptions(on: Array(securables), isLoss: true))
    try await audit(
      rows.map { row in
        AuditEntry(
          actor: "scheduler", action: "expire", connection: try row.text("connection"),
          path: try SecurablePath(parts: [
            try row.text("connection"), try row.text("database"), try row.text("schema"), try row.text("name"),
          ]).description,
          identity: try row.text("identity"))
      })
    return rows.count
  }

  /// Who is subscribed to what, by hand and by policy.
  package func subscriptions(user: String?, below path: SecurablePath?) async throws -> [Subscription] {
    try await connection.query(
      statement(PackageResources.list_subscriptions_sql),
      [
        .optional(user), .optional(path?.connection), .optional(path?.database), .optional(path?.schema),
        .optional(path?.table),
      ]
    ).rows.map { row in
      let path = try SecurablePath(parts: [
        try row.text("connection"), try row.text("database"), try row.text("schema"), try row.text("name"),
      ])
      return Subscription(
        user: try row.text("user"), path: path, access: try row.text("access") == "write" ? .write : .read,
        origin: try row.text("origin"), policies: try row.textArray("policies"),
        expiresAt: try row.optionalText("expires_at"), barredBy: try row.optionalText("barred_by"),
        createdAt: try row.optionalText("created_at"))
    }
  }
}
