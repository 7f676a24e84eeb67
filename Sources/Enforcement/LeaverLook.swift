import Governance
import Metadata
import Platform
import Postgres

/// Looking what is left to roles that left an audience, on every data source of a database that they should not have.
///
/// Many leave together, and hardly one of them has anything of its own: one of those that are alike is looked at on
/// everything, and the others only where that one reaches something.
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

  /// What a role may reach, by data source.
  private struct DataSources {
    var places: [Int64: SecurableOID] = [:]
    /// How many there are, looked at or not.
    var count = 0
  }

  func look(_ jobs: [ClaimedJob], in session: PostgresConnection) async throws -> [JobResult] {
    let limit = Deadline.after(Self.longestLook)
    let sources = try await dataSources()
    let audiences = try await metadata.read {
      try await $0.roleKinds(of: connection.id, among: [], everything: false).keys.sorted()
    }
    let waiting = Dictionary(grouping: jobs) { $0.scope.role ?? "" }
    var results: [JobResult] = []
    for alike in try await ResidualLook.alike(waiting.keys.sorted(), apartFrom: audiences, in: session) {
      if limit.hasPassed, !results.isEmpty {
        ReachedLimit.lookTime.count()
        break
      }
      let reached = try await reached(by: alike[0], sources, apartFrom: audiences, in: session)
      var rest = alike[...]
      while !rest.isEmpty, !limit.hasPassed || results.isEmpty {
        let part = rest.prefix(max(1, Self.pairsTogether / max(1, reached.count)))
        rest = rest.dropFirst(part.count)
        var look = ResidualLook(of: sources.places.count, among: sources.count)
        if !reached.isEmpty {
          try await look.ask(try await question(Array(part), reached), apartFrom: audiences, in: session)
          try await leaveOutDesired(&look)
        }
        let done = part.flatMap { waiting[$0] ?? [] }
        try await record(look, job: done.first?.id)
        results += done.map { result(of: $0, look, sources.places.count) }
      }
    }
    return results
  }

  private func dataSources() async throws -> DataSources {
    let rows = try await metadata.read { metadata in
      try await metadata.connection.query(
        """
        select id, oid, kind, count(*) over () as "all" from data_source where database_id = $1 and enabled
        order by id limit $2
        """, [.int8(database), .int(ResidualAccess.maximumPairs)]
      ).rows
    }
    var sources = DataSources()
    for row in rows {
      sources.count = Int(try row.int("all"))
      guard let kind = SecurableKind(rawValue: try row.text("kind")) else { continue }
      sources.places[try row.int("id")] = SecurableOID(
        kind: kind, oid: UInt32(truncatingIfNeeded: try row.int("oid")))
    }
    return sources
  }

  /// Where a role has any way of access at all, whether it should or not; everything where that cannot be known.
  private func reached(
    by role: String, _ sources: DataSources, apartFrom audiences: [String], in session: PostgresConnection
  ) async throws -> [Int64] {
    var question = ResidualLook.Question()
    for (id, place) in sources.places { question.add(.init(role: role, place: place), securable: id, desired: []) }
    var look = ResidualLook()
    try await look.ask(question, apartFrom: audiences, in: session)
    return look.gaps.isEmpty ? Array(Set(look.routes.map(\.securable))) : Array(sources.places.keys)
  }

  private func question(_ roles: [String], _ securables: [Int64]) async throws -> ResidualLook.Question {
    let rows = try await metadata.read { metadata in
      try await metadata.connection.query(
        statement(PackageResources.refused_pairs_sql),
        [
          .int8(database), .textArray(roles), .int8Array(try await metadata.people(of: Set(roles))),
          .int8Array(securables),
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

  private func result(of job: ClaimedJob, _ look: ResidualLook, _ examined: Int) -> JobResult {
    let found = look.routes(of: job, role: job.scope.role)
    let summary = Summary(
      examined: examined, notes: look.gaps.isEmpty ? nil : look.gaps,
      residual_access: found.isEmpty ? nil : Array(found.prefix(Self.listed)),
      residual_access_unlisted: found.count > Self.listed ? found.count - Self.listed : nil)
    return JobResult(id: job.id, outcome: .completed, result: ResultText.json(summary))
  }
}

extension ResidualLook {
  /// These roles in groups of which each reaches the same relations, apart from what audiences open.
  ///
  /// - Parameter andOwn: apart from what is their own too; roles that do not exist are in no group then
  static func alike(
    _ roles: [String], apartFrom audiences: [String], andOwn: Bool = false, in session: PostgresConnection
  ) async throws -> [[String]] {
    try await session.query(
      statement(PackageResources.alike_roles_sql), [.textArray(roles), .textArray(audiences), .bool(andOwn)]
    ).rows.map { try $0.textArray("roles") }
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
