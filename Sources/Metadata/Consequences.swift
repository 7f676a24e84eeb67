import Governance

/// The jobs that changes of the desired state need; to be submitted in the transaction of the change itself.
extension MetadataSession {
  /// Who is in which audience may have changed: every connection is evaluated.
  package func submitEvaluations() async throws {
    var requests: [JobRequest] = []
    for target in try await connections() where target.state != .inactive && target.state != .deleting {
      let lane = try await lane(.governance, of: target.id)
      requests.append(JobRequest(lane: lane.id, kind: .evaluate, jobClass: .interactive, scope: .governance))
    }
    _ = try await submit(requests)
  }

  /// A role came to stand for somebody else, or for nobody: everything that it holds through Sluice is compared.
  ///
  /// - Parameter isLoss: whether it may lose something; such work goes first.
  package func submitGrantee(_ role: String, on connectionID: Int64, isLoss: Bool) async throws {
    _ = try await submit(
      try await lanes(of: connectionID).filter { $0.kind != .governance }.map { lane in
        JobRequest(
          lane: lane.id, kind: isLoss ? .revoke : .subscribe, jobClass: isLoss ? .revoke : .interactive,
          scope: .grantee(role))
      })
  }

  /// A user's role on a connection is another one now; nil is no account.
  package func submitMapping(from before: String?, to after: String?, on connectionID: Int64) async throws {
    if let before { try await submitGrantee(before, on: connectionID, isLoss: true) }
    if let after { try await submitGrantee(after, on: connectionID, isLoss: false) }
  }

  /// Data sources at or below a securable were enabled or disabled: each is compared, and audiences are evaluated.
  package func submitReach(of securable: Securable) async throws {
    let lane = try await lane(ofDatabase: securable.database)
    let sources = try await dataSources(below: securable.id)
    // Guardrails that came while they were disabled could not be decided then.
    try await barByGuardrails(on: sources.filter(\.isEnabled).map(\.id))
    let joining = try await placeSubscriptions(
      on: sources.map(\.id), isLoss: sources.contains { !$0.isEnabled })
    _ = try await submit(
      sources.map { source in
        JobRequest(
          lane: lane.id, kind: source.isEnabled ? .subscribe : .revoke,
          jobClass: source.isEnabled ? .bulk : .revoke, scope: .securable(source.id))
      } + joining)
    try await submitEvaluations()
  }

  /// An object sync of a connection, a database, a schema or a relation.
  ///
  /// - Parameter evenInactive: whether a connection that is inactive is synced too.
  /// - Throws: `notFound` for a path that the last sync did not see, `refused` for an inactive connection.
  package func submitSync(of path: SecurablePath, evenInactive: Bool) async throws -> SubmittedJob {
    let target = try await connection(named: path.connection)
    if target.state == .inactive && !evenInactive {
      throw MetadataError(
        .refused, "connection \(target.name) is inactive; activate it, or sync it all the same with --inactive")
    }
    if target.state == .deleting {
      throw MetadataError(.refused, "connection \(target.name) is being deleted")
    }
    let (lane, scope) = try await syncPlace(of: path, target.id)
    let jobs = try await submit([JobRequest(lane: lane, kind: .sync, jobClass: .bulk, scope: scope)])
    return jobs[0]
  }

  private func syncPlace(of path: SecurablePath, _ connectionID: Int64) async throws -> (Int64, JobScope) {
    guard path.level != .connection else { return (try await lane(.roles, of: connectionID).id, .connection) }
    let securable = try await securable(at: path)
    let scope: JobScope =
      switch securable.kind {
      case .database: .database(securable.id)
      case .schema: .schema(securable.id)
      default: .relation(securable.id)
      }
    return (try await lane(ofDatabase: securable.database).id, scope)
  }
}
