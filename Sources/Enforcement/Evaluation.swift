import Governance
import Metadata
import Platform

/// Recomputes the audiences of a connection from policies, people and tables, and submits what that changes.
///
/// Everything happens in one metadata transaction: the new desired state and the jobs that make the target follow.
package enum Evaluation {
  package struct Outcome: Sendable {
    package var audiences = 0
    package var changedPlaces = 0
    package var jobs: [SubmittedJob] = []
  }

  package static func run(
    _ connectionID: Int64, parent: Int64?, in metadata: MetadataSession
  ) async throws -> Outcome {
    // First of all: an evaluation that read policies and people before it waited would overwrite a newer one.
    try await metadata.lock(connection: connectionID)
    let drafts = try await compile(connectionID, in: metadata)
    let changes = try await metadata.replaceAudiences(of: connectionID, by: drafts)
    var requests = try await jobs(for: changes, of: connectionID, parent, metadata)
    let pairs = try await metadata.subscribedPairs(of: connectionID)
    let barred = try await metadata.barByGuardrails(identities: pairs.identities, securables: pairs.securables)
    requests += try await jobs(forBarred: barred, parent, metadata)
    return Outcome(
      audiences: drafts.count, changedPlaces: changes.places.count, jobs: try await metadata.submit(requests))
  }

  static func compile(_ connectionID: Int64, in metadata: MetadataSession) async throws -> [AudienceDraft] {
    let compiler = Compiler(policies: try await metadata.policies(), now: try await metadata.now())
    let tables = try await metadata.tableFacts(connection: connectionID)
    guard !compiler.policies.isEmpty, !tables.isEmpty else { return [] }
    return compiler.compile(tables: tables, users: try await metadata.userFacts()).map { audience in
      AudienceDraft(
        key: "\(audience.access.rawValue) \(audience.condition)", access: audience.access,
        condition: audience.condition, policies: audience.policies, members: audience.members.map(\.rawValue),
        securables: audience.tables.map(\.rawValue))
    }
  }

  private static func jobs(
    for changes: AudienceChanges, of connectionID: Int64, _ parent: Int64?, _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    let roles = try await metadata.lane(.roles, of: connectionID).id
    var requests: [JobRequest] = []
    for (place, isLoss) in changes.places {
      let lane: Int64
      if let database = place.database { lane = try await metadata.lane(ofDatabase: database).id } else { lane = roles }
      requests.append(
        JobRequest(
          lane: lane, kind: isLoss ? .revoke : .subscribe, jobClass: isLoss ? .revoke : .interactive,
          scope: .audience(place.audience), parent: parent))
    }
    // Audiences without any grants left never see a database run that would retire them.
    let withGrants = Set(changes.places.keys.filter { $0.database != nil }.map(\.audience))
    for (id, role) in changes.obsolete where !withGrants.contains(id) {
      requests.append(
        JobRequest(lane: roles, kind: .revoke, jobClass: .bulk, scope: .retirement(role), parent: parent))
    }
    return requests
  }

  private static func jobs(
    forBarred changed: [(identity: Int64, securable: Int64, isBarred: Bool)], _ parent: Int64?,
    _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    var requests: [JobRequest] = []
    for change in changed {
      guard let securable = try await metadata.securable(id: change.securable) else { continue }
      requests.append(
        JobRequest(
          lane: try await metadata.lane(ofDatabase: securable.database).id,
          kind: change.isBarred ? .revoke : .subscribe, jobClass: change.isBarred ? .revoke : .interactive,
          scope: .subscription(identity: change.identity, securable: change.securable), parent: parent))
    }
    return requests
  }
}
