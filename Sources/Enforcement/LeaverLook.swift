import Governance
import Metadata
import Platform
import Postgres

/// Looking what is left to roles that left an audience, on every data source of a database that they should not have.
extension DatabaseRun {
  /// The lane is held meanwhile; what is not looked at by then comes again.
  private static let longestLook: Duration = .seconds(5)
  /// Pairs of a role and a data source that are asked for at once.
  private static let pairsTogether = 50_000
  /// Ways of access that are listed with a job; the others are counted.
  private static let listed = 100

  private struct Summary: Encodable {
    /// Data sources that were looked at.
    var examined: Int
    var notes: [String]?
    var residual_access: [ResidualAccess]?
    var residual_access_unlisted: Int?
  }

  func look(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    let limit = Deadline.after(Self.longestLook)
    let audiences = try await metadata.read {
      try await $0.managedRoles(of: connection.id).filter { $0.kind == .audience }.map(\.role)
    }
    var results: [JobResult] = []
    var rest = jobs[...]
    var together = 1
    while !rest.isEmpty, !limit.hasPassed {
      let part = rest.prefix(together)
      rest = rest.dropFirst(together)
      let question = try await question(Set(part.compactMap(\.scope.role)))
      var look = ResidualLook()
      try await look.ask(question, apartFrom: audiences, in: session)
      try await record(look, job: part.first?.id)
      results += part.map { result(of: $0, look, question) }
      together = max(1, Self.pairsTogether * part.count / max(1, question.pairs.count))
    }
    return results
  }

  private func question(_ roles: Set<String>) async throws -> ResidualLook.Question {
    let rows = try await metadata.read { metadata in
      try await metadata.connection.query(
        statement(PackageResources.refused_pairs_sql),
        [
          .int8(database), .textArray(roles.sorted()), .int8Array(try await metadata.people(of: roles)),
          .int(ResidualAccess.maximumPairs + 1),
        ]
      ).rows
    }
    var question = ResidualLook.Question()
    for row in rows {
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { continue }
      let access = try row.optionalText("access").flatMap(AccessLevel.init(rawValue:))
      question.add(
        .init(
          role: try row.text("role"),
          place: SecurableOID(kind: kind, oid: UInt32(truncatingIfNeeded: try row.int("oid")))),
        securable: try row.int("id"), desired: access?.privileges(on: kind) ?? [])
    }
    return question
  }

  private func result(of job: ClaimedJob, _ look: ResidualLook, _ question: ResidualLook.Question) -> JobResult {
    let found = look.routes(of: job, role: job.scope.role)
    let summary = Summary(
      examined: question.pairs.count { $0.key.role == job.scope.role }, notes: look.gaps.isEmpty ? nil : look.gaps,
      residual_access: found.isEmpty ? nil : Array(found.prefix(Self.listed)),
      residual_access_unlisted: found.count > Self.listed ? found.count - Self.listed : nil)
    return JobResult(id: job.id, outcome: .completed, result: ResultText.json(summary))
  }
}

extension MetadataSession {
  /// Asks every database with data sources what these roles can still do there.
  func submitLooks(for roles: [String], on connectionID: Int64) async throws {
    guard !roles.isEmpty else { return }
    let lanes = try await connection.query(
      """
      select l.id from lane l
      where l.connection_id = $1 and l.kind = 'database'
        and exists (select from data_source d where d.database_id = l.database_id and d.enabled)
      """, [.int8(connectionID)]
    ).rows.map { try $0.int("id") }
    _ = try await submit(
      lanes.flatMap { lane in
        roles.map { JobRequest(lane: lane, kind: .revoke, jobClass: .bulk, scope: .residual($0)) }
      })
  }
}
