import Foundation
import Platform
import Postgres

/// Asks the target all the time about access that was reported revoked and has not been asked for since.
actor RevokeWatch {
  private static let interval: Duration = .milliseconds(50)
  private static let outageDelay: Duration = .milliseconds(200)
  /// One example of each is enough; a target that is wrong is wrong at every look.
  private static let violationLimit = 20

  private let cluster: CampaignCluster
  /// When each was reported revoked; a later report replaces it.
  private var revoked: [AccessKey: Date] = [:]
  private var sessions: [String: PostgresConnection] = [:]
  private(set) var looks = 0
  private(set) var violations: [Violation] = []

  init(cluster: CampaignCluster) { self.cluster = cluster }

  func begin(_ key: AccessKey) { revoked[key] = Date() }
  func end(_ key: AccessKey) { revoked[key] = nil }

  /// A subscribe was reported completed: the target must know of it, if it answers at all.
  func expectAccess(_ key: AccessKey) async {
    do {
      let database = key.table.database
      let held = try await cluster.withAdmin(cluster.target(of: database), database) { session in
        try await Self.holders([key], database, session)
      }
      if held.isEmpty { report(.honest, "\(key) was reported completed, and the target's catalog does not have it") }
    } catch {
      // The target is down at this moment: no answer, no verdict.
    }
  }

  /// Looks until the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      do {
        try await look()
        try await pause(Self.interval)
      } catch {
        await closeSessions()
        // best effort: a cancelled wait ends the loop
        try? await pause(Self.outageDelay)
      }
    }
    await closeSessions()
  }

  private func look() async throws {
    let asked = revoked
    let held = try await holders(among: Array(asked.keys))
    looks += 1
    for key in held {
      // Asked for again meanwhile: then it may have come back.
      guard let since = asked[key], revoked[key] == since else { continue }
      let age = String(format: "%.1f", Date().timeIntervalSince(since))
      report(.revokesHold, "\(key) has access again \(age) s after its revoke was reported completed")
    }
  }

  /// Those that have access at this moment.
  private func holders(among keys: [AccessKey]) async throws -> [AccessKey] {
    var found: [AccessKey] = []
    for (database, keys) in Dictionary(grouping: keys, by: \.table.database) {
      found += try await Self.holders(keys, database, try await session(database))
    }
    return found
  }

  private static func holders(
    _ keys: [AccessKey], _ database: String, _ session: PostgresConnection
  ) async throws -> [AccessKey] {
    try await session.query(
      """
      select w.name, w.relation
      from unnest($1::text[], $2::text[]) as w (name, relation) join pg_roles r on r.rolname = w.name
      where has_table_privilege(r.oid, ('\(Population.schema).' || w.relation)::regclass, 'SELECT')
      """, [.textArray(keys.map(\.user)), .textArray(keys.map(\.table.table))]
    ).rows.map { row in
      AccessKey(
        user: try row.text("name"), table: TableName(database: database, table: try row.text("relation")))
    }
  }

  private func session(_ database: String) async throws -> PostgresConnection {
    if let known = sessions[database], await known.isUsable { return known }
    let session = try await cluster.openAdmin(cluster.target(of: database), database)
    sessions[database] = session
    return session
  }

  private func closeSessions() async {
    let open = sessions.values
    sessions = [:]
    for session in open { await session.close() }
  }

  private func report(_ rule: CampaignRule, _ detail: String) {
    if violations.count < Self.violationLimit { violations.append(Violation(rule, detail)) }
  }
}
