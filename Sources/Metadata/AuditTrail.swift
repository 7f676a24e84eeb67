import Foundation
import Postgres

/// One line of the audit trail: who changed what, or what was done in a target because of it.
package struct AuditEntry: Sendable {
  package var actor: String
  package var action: String
  package var connection: String?
  package var path: String?
  package var identity: String?
  package var job: Int64?
  package var detail: [String: String]

  package init(
    actor: String, action: String, connection: String? = nil, path: String? = nil, identity: String? = nil,
    job: Int64? = nil, detail: [String: String] = [:]
  ) {
    self.actor = actor
    self.action = action
    self.connection = connection
    self.path = path
    self.identity = identity
    self.job = job
    self.detail = detail
  }
}

extension MetadataSession {
  /// Writes to the trail, in the transaction of the change itself.
  package func audit(_ entries: [AuditEntry]) async throws {
    guard !entries.isEmpty else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let details = try entries.map { String(decoding: try encoder.encode($0.detail), as: UTF8.self) }
    _ = try await connection.query(
      """
      insert into audit (actor, action, connection, path, identity, job_id, detail)
      select e.actor, e.action, e.connection, e.path, e.identity, e.job::bigint, e.detail::jsonb
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        as e (actor, action, connection, path, identity, job, detail)
      """,
      [
        .textArray(entries.map(\.actor)), .textArray(entries.map(\.action)), .textArray(entries.map(\.connection)),
        .textArray(entries.map(\.path)), .textArray(entries.map(\.identity)),
        .textArray(entries.map { $0.job.map(String.init) }), .textArray(details),
      ])
  }

  package func audit(_ entry: AuditEntry) async throws { try await audit([entry]) }
}
