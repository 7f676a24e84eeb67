import Foundation
import Governance
import Postgres

/// Policies as code: applying the same document again changes nothing.
extension MetadataSession {
  package enum PolicyChange: String, Sendable { case added, changed, unchanged }

  /// Stores a policy by its name and says whether that changed anything.
  package func apply(_ policy: SubscriptionPolicy) async throws -> PolicyChange {
    let known = try await connection.query("select document from policy where name = $1", [.text(policy.name)]).rows
    if let row = known.first, try row.text("document") == policy.document { return .unchanged }
    let target = Dictionary(uniqueKeysWithValues: policy.target.parts.map { ($0.0, $0.1.map(\.pattern)) })
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    _ = try await connection.query(
      statement(PackageResources.apply_policy_sql),
      [
        .text(policy.name), .text(policy.effect.rawValue), .text(policy.access.rawValue),
        .text(policy.state.rawValue), .json(String(decoding: try encoder.encode(target), as: UTF8.self)),
        .text(policy.condition.source), .text(policy.document), .optional(policy.expires?.description),
      ])
    return known.isEmpty ? .added : .changed
  }

  /// True if there was one of that name.
  package func removePolicy(named name: String) async throws -> Bool {
    try await connection.query("delete from policy where name = $1", [.text(name)]).affected > 0
  }

  /// Every policy, by name.
  package func policies() async throws -> [SubscriptionPolicy] {
    try await connection.query(
      """
      select name, effect, access, state, target::text as target, condition,
        \(rfc3339("expires_at")) as expires_at from policy order by name
      """
    ).rows.map(Self.decodePolicy)
  }

  package func policy(named name: String) async throws -> SubscriptionPolicy {
    guard let policy = try await policies().first(where: { $0.name == name }) else {
      throw MetadataError(.notFound, "there is no policy \"\(name)\"; see: sluice policy list")
    }
    return policy
  }

  private static func decodePolicy(_ row: PostgresRow) throws -> SubscriptionPolicy {
    let name = try row.text("name")
    guard let effect = SubscriptionPolicy.Effect(rawValue: try row.text("effect")),
      let access = AccessLevel(rawValue: try row.text("access")),
      let state = SubscriptionPolicy.State(rawValue: try row.text("state"))
    else { throw MetadataError(.corrupt, "policy \"\(name)\" was written by another version") }
    let globs = try JSONDecoder().decode([String: [String]].self, from: Data(try row.text("target").utf8))
      .mapValues { try $0.map { try Glob($0) } }
    let target = PolicyTarget(
      connection: globs["connection"] ?? [], database: globs["database"] ?? [], schema: globs["schema"] ?? [],
      table: globs["table"] ?? [], tags: globs["tags"] ?? [])
    return SubscriptionPolicy(
      name: name, effect: effect, access: access, state: state, target: target,
      condition: try Condition.parse(try row.text("condition")),
      expires: try row.optionalText("expires_at").map { try Timestamp($0) })
  }

  /// The database's own clock: policies expire by it, not by a worker's.
  package func now() async throws -> Timestamp {
    let micros = try await connection.query("select (extract(epoch from now()) * 1000000)::bigint as micros").rows[0]
      .int("micros")
    return Timestamp(microsecondsSinceEpoch: micros)
  }

  /// The data sources of a connection as conditions see them; those of one database or id alone when asked.
  package func tableFacts(connection connectionID: Int64? = nil, ids: [Int64]? = nil) async throws -> [TableFacts] {
    try await connection.query(
      """
      select id, connection, database, schema, name, kind from data_source
      where enabled and ($1::bigint is null or connection_id = $1) and ($2::bigint[] is null or id = any ($2))
      order by id
      """, [.optional(connectionID), ids.map { .int8Array($0) } ?? .null]
    ).rows.map { row in
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else {
        throw MetadataError(.corrupt, "securable \(try row.int("id")) was written by another version")
      }
      return TableFacts(
        id: SecurableID(rawValue: try row.int("id")), connection: try row.text("connection"),
        database: try row.text("database"), schema: try row.text("schema"), name: try row.text("name"), tags: [],
        kind: kind)
    }
  }

  /// Bars the subscriptions of these pairs that do not meet every guardrail, and unbars the others. What cannot be
  /// decided, because the table is not enabled or the user is gone, stays as it is. Returns the pairs that this changed,
  /// as (identity, securable, is now barred).
  @discardableResult
  package func barByGuardrails(
    identities: [Int64], securables: [Int64]
  ) async throws -> [(identity: Int64, securable: Int64, isBarred: Bool)] {
    guard !securables.isEmpty else { return [] }
    try await holdEvaluations(ofSecurables: securables)
    let guardrails = try await policies().filter { $0.effect == .guardrail }
    let compiler = Compiler(policies: guardrails, now: try await now())
    let tables = Dictionary(
      uniqueKeysWithValues: try await tableFacts(ids: Array(Set(securables))).map { ($0.id.rawValue, $0) })
    let users =
      compiler.policies.isEmpty
      ? [:] : Dictionary(uniqueKeysWithValues: try await userFacts().map { ($0.id.rawValue, $0) })
    let stored = try await connection.query(
      """
      select s.identity_id, s.securable_id, s.access, s.barred_by
      from subscription s join unnest($1::bigint[], $2::bigint[]) as p (identity_id, securable_id)
        using (identity_id, securable_id)
      """, [.int8Array(identities), .int8Array(securables)]
    ).rows
    var changed: [(identity: Int64, securable: Int64, isBarred: Bool)] = []
    var bars: [String?] = []
    for row in stored {
      let (identity, securable) = (try row.int("identity_id"), try row.int("securable_id"))
      let access: AccessLevel = try row.text("access") == "write" ? .write : .read
      var barredBy: String?
      if !compiler.policies.isEmpty {
        guard let table = tables[securable], let user = users[identity] else { continue }
        barredBy = compiler.firstUnmetGuardrail(user, table, access: access)
      }
      if try row.optionalText("barred_by") != barredBy {
        changed.append((identity, securable, barredBy != nil))
        bars.append(barredBy)
      }
    }
    _ = try await connection.query(
      """
      update subscription s set barred_by = p.barred_by
      from unnest($1::bigint[], $2::bigint[], $3::text[]) as p (identity_id, securable_id, barred_by)
      where s.identity_id = p.identity_id and s.securable_id = p.securable_id
      """,
      [.int8Array(changed.map(\.identity)), .int8Array(changed.map(\.securable)), .textArray(bars)])
    return changed
  }

  /// As above, for every subscription to these data sources.
  package func barByGuardrails(on securables: [Int64]) async throws {
    guard !securables.isEmpty else { return }
    let rows = try await connection.query(
      "select identity_id, securable_id from subscription where securable_id = any ($1)", [.int8Array(securables)]
    ).rows
    try await barByGuardrails(
      identities: try rows.map { try $0.int("identity_id") }, securables: try rows.map { try $0.int("securable_id") })
  }

  /// Every manual subscription of a connection, as pairs.
  package func subscribedPairs(of connectionID: Int64) async throws -> (identities: [Int64], securables: [Int64]) {
    let rows = try await connection.query(
      """
      select s.identity_id, s.securable_id from subscription s join securable t on t.id = s.securable_id
      where t.connection_id = $1
      """, [.int8(connectionID)]
    ).rows
    return (try rows.map { try $0.int("identity_id") }, try rows.map { try $0.int("securable_id") })
  }
}

extension Compiler {
  /// The name of the first guardrail that the user does not meet; undecided is not met.
  func firstUnmetGuardrail(_ user: UserFacts, _ table: TableFacts, access: AccessLevel) -> String? {
    policies.first {
      $0.effect == .guardrail && $0.concerns(access) && $0.target.matches(table)
        && $0.condition.evaluate(user: user, table: table) != .admitted
    }?.name
  }
}
