import Platform
import Postgres

/// Registered connections and their credentials.
extension MetadataSession {
  private static let columns = """
    id, name, kind, host, host_address, port, database, username, tls, workspace_url, instance_name, endpoint, \
    extract(epoch from sync_every)::bigint as sync_every, new_data_sources, default_policy, role_budget, \
    extract(epoch from sweep_every)::bigint as sweep_every, drift_mode, state, state_reason, \
    \(rfc3339("state_since")) as state_since, \(rfc3339("synced_at")) as synced_at, server_version
    """

  /// Stores a new connection with its sealed secret and its lanes, and returns it with its id.
  package func insert(_ new: Connection, secret: Secret, key: SealingKey) async throws -> Connection {
    try Connection.validate(name: new.name)
    if try await connection.query(
      "select from connection where name = $1 and state <> 'deleted'", [.text(new.name)]
    ).rows.isEmpty == false {
      throw MetadataError(
        .alreadyExists,
        "a connection named \"\(new.name)\" exists already; see it with: sluice connection show \(new.name)")
    }
    let id = try await connection.query("select nextval(pg_get_serial_sequence('connection', 'id')) as id")
      .rows[0].int("id")
    let sealed = try key.seal(secret, context: Self.secretContext(id))
    _ = try await connection.query(statement(PackageResources.insert_connection_sql), Self.values(new, id, sealed))
    for kind in [LaneKind.roles, .governance] {
      _ = try await connection.query(
        "insert into lane (connection_id, kind) values ($1, $2)", [.int8(id), .text(kind.rawValue)])
    }
    var stored = new
    stored.id = id
    return stored
  }

  private static func values(_ new: Connection, _ id: Int64, _ sealed: [UInt8]) -> [PostgresValue] {
    var instanceName: String?
    var endpoint: String?
    switch new.instance {
    case .named(let name): instanceName = name
    case .endpoint(let path): endpoint = path
    case nil: break
    }
    return [
      .int8(id), .text(new.name), .text(new.kind.rawValue), .text(new.host), .optional(new.hostAddress),
      .int8(Int64(new.port)), .text(new.database), .text(new.username), .text(new.tls.rawValue),
      .optional(new.workspaceURL), .optional(instanceName), .optional(endpoint), .bytea(sealed),
      .int8(new.syncEverySeconds), .text(new.enablesNewDataSources ? "enabled" : "disabled"),
      .text(new.defaultPolicy), .optional(new.serverVersion.map(Int64.init)), .int8(Int64(new.roleBudget)),
      .int8(new.sweepEverySeconds), .text(new.driftMode.rawValue),
    ]
  }

  /// Every connection that is not deleted, by name.
  package func connections() async throws -> [Connection] {
    try await connection.query(
      "select \(Self.columns) from connection where state <> 'deleted' order by name"
    ).rows.map(Self.decode)
  }

  package func connection(named name: String) async throws -> Connection {
    let rows = try await connection.query(
      "select \(Self.columns) from connection where name = $1 and state <> 'deleted'", [.text(name)]
    ).rows
    guard let row = rows.first else {
      throw MetadataError(.notFound, "there is no connection \"\(name)\"; see: sluice connection list")
    }
    return try Self.decode(row)
  }

  package func connection(id: Int64) async throws -> Connection {
    let rows = try await connection.query(
      "select \(Self.columns) from connection where id = $1", [.int8(id)]
    ).rows
    guard let row = rows.first else { throw MetadataError(.notFound, "there is no connection number \(id)") }
    return try Self.decode(row)
  }

  /// The connection's client secret or password.
  package func secret(of id: Int64, key: SealingKey) async throws -> Secret {
    let rows = try await connection.query("select sealed_secret from connection where id = $1", [.int8(id)]).rows
    guard let row = rows.first else { throw MetadataError(.notFound, "there is no connection number \(id)") }
    return try key.open(try row.bytes("sealed_secret"), context: Self.secretContext(id))
  }

  /// Waits for every other evaluation of the connection and for whoever holds its policies as read, until the end of the
  /// transaction: what is read after this is newer than what they stored.
  package func lock(connection id: Int64) async throws {
    _ = try await connection.query("select from connection where id = $1 for no key update", [.int8(id)])
  }

  /// Keeps evaluations of the connections of these securables waiting until the end of the transaction, so that they
  /// see what it decides by the policies that it reads after this.
  func holdEvaluations(ofSecurables securables: [Int64]) async throws {
    _ = try await connection.query(
      """
      select from connection where id in (select connection_id from securable where id = any ($1)) order by id for share
      """, [.int8Array(securables)])
  }

  package func replaceSecret(of id: Int64, with secret: Secret, key: SealingKey) async throws {
    let sealed = try key.seal(secret, context: Self.secretContext(id))
    _ = try await connection.query(
      "update connection set sealed_secret = $2 where id = $1", [.int8(id), .bytea(sealed)])
  }

  /// Moves a connection to a state, with the reason; true if that was a change.
  ///
  /// Workers report `stopped`, `unhealthy` and `active`; they never override what an operator decided.
  @discardableResult
  package func setState(
    of id: Int64, to state: Connection.State, reason: String?, unless kept: [Connection.State] = []
  ) async throws -> Bool {
    try await connection.query(
      statement(PackageResources.set_connection_state_sql),
      [.int8(id), .text(state.rawValue), .optional(reason), .textArray(kept.map(\.rawValue))]
    ).affected > 0
  }

  /// Plans the next probe of a connection that does not answer, and returns how many have failed in a row.
  package func planProbe(of id: Int64, after delay: Duration) async throws {
    _ = try await connection.query(
      """
      update connection set probe_at = now() + $2 * interval '1 millisecond', probe_failures = probe_failures + 1
      where id = $1
      """, [.int8(id), .int8(Int64(delay.wholeMilliseconds))])
  }

  /// Connections whose probe is due, with the number of probes that failed so far.
  package func dueProbes(limit: Int) async throws -> [(connection: Connection, failures: Int)] {
    try await connection.query(
      """
      select \(Self.columns), probe_failures from connection
      where state in ('stopped', 'unhealthy') and coalesce(probe_at, '-infinity') <= now()
      order by probe_at nulls first limit $1
      """, [.int8(Int64(limit))]
    ).rows.map { (try Self.decode($0), Int(try $0.int("probe_failures"))) }
  }

  private static func secretContext(_ id: Int64) -> String { "connection/\(id)/secret" }

  static func decode(_ row: PostgresRow) throws -> Connection {
    guard let kind = Connection.Kind(rawValue: try row.text("kind")),
      let state = Connection.State(rawValue: try row.text("state")),
      let tls = Connection.TLS(rawValue: try row.text("tls")),
      let driftMode = Connection.DriftMode(rawValue: try row.text("drift_mode"))
    else { throw MetadataError(.corrupt, "connection \(try row.text("name")) has a kind or state of another version") }
    var connection = Connection(
      name: try row.text("name"), kind: kind, host: try row.text("host"), database: try row.text("database"),
      username: try row.text("username"))
    connection.id = try row.int("id")
    connection.hostAddress = try row.optionalText("host_address")
    connection.port = Int(try row.int("port"))
    connection.tls = tls
    connection.workspaceURL = try row.optionalText("workspace_url")
    connection.instance = try row.optionalText("instance_name").map { .named($0) }
    if let endpoint = try row.optionalText("endpoint") { connection.instance = .endpoint(endpoint) }
    connection.syncEverySeconds = try row.int("sync_every")
    connection.sweepEverySeconds = try row.int("sweep_every")
    connection.driftMode = driftMode
    connection.enablesNewDataSources = try row.text("new_data_sources") == "enabled"
    connection.defaultPolicy = try row.text("default_policy")
    connection.roleBudget = Int(try row.int("role_budget"))
    connection.state = state
    connection.stateReason = try row.optionalText("state_reason")
    connection.stateSince = try row.text("state_since")
    connection.syncedAt = try row.optionalText("synced_at")
    connection.serverVersion = try row.optionalInt("server_version").map(Int.init)
    return connection
  }
}

/// The SQL that renders a timestamp as RFC 3339 in UTC, with milliseconds.
func rfc3339(_ column: String) -> String {
  "to_char(\(column) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
}

extension MetadataSession {
  /// The connection is gone, with what was desired there; its history stays, its name is free.
  ///
  /// - Parameter leftovers: what stays in the target, in words
  package func finishDeletion(of id: Int64, leftovers: [String] = []) async throws {
    _ = try await connection.query(
      "update connection set state = 'deleted', state_since = now(), state_reason = $2 where id = $1",
      [.int8(id), .optional(leftovers.isEmpty ? nil : leftovers.joined(separator: "\n"))])
    _ = try await connection.query(
      """
      update job j set state = 'cancelled', finished_at = now(), open_key = null
      from lane l
      where l.id = j.lane_id and l.connection_id = $1 and j.state in ('available', 'scheduled', 'retryable')
      """, [.int8(id)])
    _ = try await connection.query(
      "update securable set dropped_at = now() where connection_id = $1 and dropped_at is null", [.int8(id)])
    _ = try await connection.query(
      "delete from subscription s using securable t where t.id = s.securable_id and t.connection_id = $1", [.int8(id)])
    _ = try await connection.query("delete from audience where connection_id = $1", [.int8(id)])
  }
}
