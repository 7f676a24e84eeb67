import Governance
import Metadata
import Platform
import Postgres

/// What roles can still do on what was taken from them, beyond what they should: looked for once all is committed, so
/// that no revoke waits for it or fails with it.
struct ResidualLook: Sendable {
  private(set) var routes: [ResidualAccess] = []
  /// Why there may be more, in words.
  private(set) var gaps: [String] = []

  init() {}

  /// - Parameters:
  ///   - count: the data sources that are looked at
  ///   - all: how many there are
  init(of count: Int, among all: Int) { note(count, of: all) }

  private mutating func note(_ count: Int, of all: Int) {
    guard count < all else { return }
    gaps.append("residual access was looked for on \(count) of \(all) data sources")
    ReachedLimit.residualPairs.count()
  }

  /// What to look for.
  struct Question: Sendable {
    struct Pair: Hashable, Sendable {
      let role: String
      let place: SecurableOID
    }

    /// By what a role lost, or should not have: its number, and the privileges on it that it should have.
    private(set) var pairs: [Pair: (securable: Int64, desired: Set<String>)] = [:]

    mutating func add(_ pair: Pair, securable: Int64, desired: Set<Privilege>) {
      pairs[pair] = (securable, Set(desired.map(\.keyword)))
    }

    /// What a transaction took or refused, or revokes name.
    mutating func add(_ outcome: DatabaseOutcome) {
      let inputs = outcome.inputs
      let desired = Dictionary(
        grouping: inputs.wanted, by: { Pair(role: $0.grantee.value, place: $0.securable) })
      for pair in inputs.extent.revokedPairs.union(outcome.revokedPairs).union(inputs.refusedPairs) {
        guard let place = inputs.places[pair.securable], place.family == .table else { continue }
        let key = Pair(role: pair.role, place: place)
        add(key, securable: pair.securable, desired: Set((desired[key] ?? []).map(\.privilege)))
      }
    }
  }

  /// Asks the target. Where that fails, nothing is known, and said to be.
  mutating func ask(
    _ question: Question, apartFrom audiences: [String], in session: PostgresConnection
  ) async throws {
    let pairs = question.pairs.sorted { ($0.key.role, $0.key.place.oid) < ($1.key.role, $1.key.place.oid) }
    guard !pairs.isEmpty else { return }
    note(min(pairs.count, ResidualAccess.maximumPairs), of: pairs.count)
    do {
      let found = try await ResidualAccess.routes(
        pairs.map { ($0.key.role, $0.value.securable, $0.key.place.oid) }, apartFrom: audiences, in: session)
      if found.count == ResidualAccess.maximumRoutes {
        gaps.append("there may be more ways of residual access than the \(found.count) that were read")
        ReachedLimit.residualRoutes.count()
      }
      let desired = Dictionary(pairs.map { (Holder($0.key.role, $0.value.securable), $0.value.desired) }) { $1 }
      routes += found.compactMap { $0.without(desired[Holder($0.role, $0.securable)] ?? []) }
    } catch let error as PostgresError where error.code != .cancelled {
      gaps.append("residual access is not known: \(error.message)")
    }
  }

  mutating func keep(_ routes: [ResidualAccess]) { self.routes = routes }

  private struct Holder: Hashable {
    let role: String
    let securable: Int64

    init(_ role: String, _ securable: Int64) { (self.role, self.securable) = (role, securable) }
  }

  /// - Parameter role: the job's, if it is about one
  func routes(of job: ClaimedJob, role: String?) -> [ResidualAccess] {
    guard job.kind == .revoke || job.scope.subject == .subscription, !routes.isEmpty else { return [] }
    return routes.filter { found in
      switch job.scope.subject {
      case .subscription: found.role == role && found.securable == job.scope.securable
      case .grantee, .audience, .residual: found.role == role
      case .securable: found.securable == job.scope.securable
      default: true
      }
    }
  }
}

extension DatabaseRun {
  /// Pairs of a role and a data source that one run writes to the audit trail.
  private static let auditedPairs = 100
  /// Ways of access to a data source that are listed in its entry there.
  private static let auditedRoutes = 20

  /// Looks what those can still do from whom something was taken, or to whom it was not given, and puts that into the
  /// trail.
  func lookForResidual(
    _ jobs: [ClaimedJob], _ progress: DatabaseProgress, in session: PostgresConnection
  ) async throws -> ResidualLook {
    var look = ResidualLook()
    guard jobs.contains(where: { $0.kind == .revoke }) || progress.hasRefused else { return look }
    try await look.ask(progress.residualQuestion, apartFrom: progress.audiences, in: session)
    try await leaveOutDesired(&look)
    try await record(look, job: (jobs.first { $0.kind == .revoke } ?? jobs.first)?.id)
    return look
  }

  /// What Sluice itself gives on another relation is told as little where a role has it as where an audience has it.
  func leaveOutDesired(_ look: inout ResidualLook) async throws {
    let routes = look.routes
    look.keep(try await metadata.read { try await $0.apartFromDesired(routes, in: database) })
  }

  func record(_ look: ResidualLook, job: Int64?) async throws {
    let all = Dictionary(grouping: look.routes) { Extent.Pair(role: $0.role, securable: $0.securable) }
    let found = all.sorted { ($0.key.role, $0.key.securable) < ($1.key.role, $1.key.securable) }
      .prefix(Self.auditedPairs)
    guard !found.isEmpty else { return }
    if all.count > Self.auditedPairs { ReachedLimit.auditedPairs.count() }
    if found.contains(where: { $0.value.count > Self.auditedRoutes }) { ReachedLimit.auditedRoutes.count() }
    try await metadata.transaction { metadata in
      let names = try await metadata.scopeNames(of: found.map { .relation($0.key.securable) })
      let users = try await metadata.users(of: connection.id, roles: Set(found.map(\.key.role)))
      try await metadata.audit(
        found.map { pair, routes in
          AuditEntry(
            actor: worker, action: "residual", connection: connection.name,
            path: names.path(of: .relation(pair.securable)), identity: users[pair.role], job: job,
            detail: [
              "role": pair.role, "count": "\(routes.count)",
              "routes": routes.prefix(Self.auditedRoutes).map(\.text).joined(separator: "\n"),
            ])
        })
    }
  }
}

extension MetadataSession {
  /// Whose roles these are.
  func users(of connectionID: Int64, roles: Set<String>) async throws -> [String: String] {
    let rows = try await connection.query(
      """
      select r.role, min(i.name) as name from user_role r join identity i on i.id = r.identity_id
      where r.connection_id = $1 and r.role = any ($2) and r.identity_id = any ($3) group by 1
      """,
      [.int8(connectionID), .textArray(Array(roles)), .int8Array(try await people(of: roles))]
    ).rows
    return try Dictionary(uniqueKeysWithValues: rows.map { (try $0.text("role"), try $0.text("name")) })
  }
}
