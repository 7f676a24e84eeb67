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
    /// What has no place, by the policies that ask for it.
    package var unplaced: [[String]] = []
    package var jobs: [SubmittedJob] = []
  }

  package static func run(
    _ connectionID: Int64, parent: Int64?, in metadata: MetadataSession
  ) async throws -> Outcome {
    // First of all: an evaluation that read policies and people before it waited would overwrite a newer one.
    try await metadata.lock(connection: connectionID)
    let target = try await metadata.connection(id: connectionID)
    // Subscriptions first: policies have what they leave of the role budget.
    let pairs = try await metadata.subscribedPairs(of: connectionID)
    let barred = try await metadata.barByGuardrails(identities: pairs.identities, securables: pairs.securables)
    var lanes = Lanes(try await metadata.lanes(of: connectionID))
    var requests = try await jobs(forBarred: barred, parent, &lanes, metadata)
    requests += try await metadata.placeTables(
      on: Array(Set(pairs.securables).union(try await metadata.subscribedAudiences(of: connectionID))),
      changed: Set(barred.map(\.securable)), isLoss: barred.contains { $0.isBarred }, parent: parent)
    let drafts = try await compile(target, in: metadata)
    let changes = try await metadata.replaceAudiences(of: connectionID, by: drafts)
    requests += try await jobs(for: changes, parent, &lanes, metadata)
    // Whoever came or went anywhere may be a member of these.
    requests += try await metadata.placePrerequisites(
      in: try await metadata.heldPlaces(of: connectionID), isCountingAll: true,
      isLoss: barred.contains { $0.isBarred } || changes.isLoss, parent: parent)
    let jobs = try await metadata.submit(requests)
    try await metadata.collectStatistics(of: "audience_member", "audience_securable", changedRows: changes.rows)
    return Outcome(
      audiences: drafts.count { $0.form == .audience }, changedPlaces: changes.count,
      unplaced: drafts.filter { $0.form == .unplaced }.map(\.policies), jobs: jobs)
  }

  static func compile(_ target: Connection, in metadata: MetadataSession) async throws -> [AudienceDraft] {
    let compiler = Compiler(policies: try await metadata.policies(), now: try await metadata.now())
    let tables = try await metadata.tableFacts(connection: target.id)
    guard !compiler.policies.isEmpty, !tables.isEmpty else { return [] }
    let audiences = compiler.compile(tables: tables, users: try await metadata.userFacts())
    let inputs = try await metadata.formInputs(of: target)
    let choice = FormChoice(
      audiences, present: inputs.present, subscribed: inputs.subscribed, limits: inputs.limits)
    return zip(audiences, choice.forms).map { audience, form in
      AudienceDraft(
        key: "\(audience.access.rawValue) \(audience.condition)", access: audience.access,
        condition: audience.condition, policies: audience.policies, members: audience.members.map(\.rawValue),
        securables: audience.tables.map(\.rawValue), form: form)
    }
  }

  private static func jobs(
    for changes: AudienceChanges, _ parent: Int64?, _ lanes: inout Lanes, _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    var requests = changes.users.map { role, isLoss in request(lanes.roles, .grantee(role), isLoss: isLoss, parent) }
    for (place, isLoss) in changes.places {
      let lane = if let database = place.database { try await lanes.of(database, metadata) } else { lanes.roles }
      requests.append(request(lane, .audience(place.audience), isLoss: isLoss, parent))
    }
    for (table, isLoss) in changes.tables {
      let lane = try await lanes.of(table.database, metadata)
      requests.append(request(lane, .securable(table.securable), isLoss: isLoss, parent))
    }
    // Audiences without any grants left never see a database run that would retire them.
    let withGrants = Set(changes.places.keys.filter { $0.database != nil }.map(\.audience))
    for (id, role) in changes.obsolete where !withGrants.contains(id) {
      requests.append(
        JobRequest(lane: lanes.roles, kind: .revoke, jobClass: .bulk, scope: .retirement(role), parent: parent))
    }
    return requests
  }

  private static func jobs(
    forBarred changed: [(identity: Int64, securable: Int64, isBarred: Bool)], _ parent: Int64?, _ lanes: inout Lanes,
    _ metadata: MetadataSession
  ) async throws -> [JobRequest] {
    var requests: [JobRequest] = []
    let databases = try await metadata.databases(of: Set(changed.map(\.securable)))
    for change in changed {
      guard let database = databases[change.securable] else { continue }
      requests.append(
        request(
          try await lanes.of(database, metadata),
          .subscription(identity: change.identity, securable: change.securable), isLoss: change.isBarred, parent))
    }
    return requests
  }

  private static func request(_ lane: Int64, _ scope: JobScope, isLoss: Bool, _ parent: Int64?) -> JobRequest {
    JobRequest(
      lane: lane, kind: isLoss ? .revoke : .subscribe, jobClass: isLoss ? .revoke : .interactive, scope: scope,
      parent: parent)
  }

  /// The numbers of a connection's lanes.
  private struct Lanes {
    let roles: Int64
    private var databases: [Int64: Int64]

    init(_ lanes: [Lane]) {
      guard let roles = lanes.first(where: { $0.kind == .roles }) else {
        preconditionFailure("every connection has a roles lane")
      }
      self.roles = roles.id
      databases = Dictionary(lanes.compactMap { lane in lane.database.map { ($0, lane.id) } }) { first, _ in first }
    }

    /// Also that of a database that is gone: what waits for it there ends.
    mutating func of(_ database: Int64, _ metadata: MetadataSession) async throws -> Int64 {
      if let lane = databases[database] { return lane }
      let lane = try await metadata.lane(ofDatabase: database).id
      databases[database] = lane
      return lane
    }
  }
}
