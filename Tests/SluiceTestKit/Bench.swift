import Enforcement
import Foundation
import Governance
import Logging
import Metadata
import Platform
import Postgres
import Synchronization

/// A metadata database and a target, with the enforcement between them but no queue: jobs are run where the test says.
package final class Bench: Sendable {
  package let metadata: MetadataDatabase
  package let target: TestTarget
  package let targets: Targets
  package let key: SealingKey
  package let connection: Connection
  private let lastFence = Mutex<Int64>(0)

  /// Outages are what tests make on purpose; what matters shows in their results.
  package static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  /// More rounds than any test needs: each runs all jobs that are due.
  private static let longestRun = 30
  private static let batchSize = 500

  private init(
    _ metadata: MetadataDatabase, _ target: TestTarget, _ targets: Targets, _ key: SealingKey,
    _ connection: Connection
  ) {
    self.metadata = metadata
    self.target = target
    self.targets = targets
    self.key = key
    self.connection = connection
  }

  /// - Parameters:
  ///   - metadataServer: where the metadata database is, if not in the shared server
  ///   - metadataStandby: what may take its place
  ///   - targetServer: where the target is, if not in the shared server
  ///   - rights: where the manager's right to grant comes from
  ///   - lockTimeout: how long sessions in the target wait for a lock
  package static func run<Value: Sendable>(
    metadataServer: TestServer? = nil, metadataStandby: TestServer? = nil, targetServer: TestServer? = nil,
    rights: TestTarget.Rights = .own, lockTimeout: Duration = .seconds(5),
    _ body: @Sendable (Bench) async throws -> Value
  ) async throws -> Value {
    let target = try await TestTarget.make(on: targetServer, rights: rights)
    let (value, made) = try await withMetadata(on: metadataServer, standby: metadataStandby) { metadata in
      let key = SealingKey.random()
      var limits = TargetLimits()
      limits.lockTimeout = lockTimeout
      // Each batch finds the target as the test has left it.
      limits.longestRest = .zero
      let targets = Targets(
        metadata: metadata, key: key, caFile: nil, limits: limits,
        logger: Self.quiet)
      let connection = try await metadata.transaction { session in
        try await session.insert(target.connection(), secret: Secret(""), key: key)
      }
      let bench = Bench(metadata, target, targets, key, connection)
      let value = try await body(bench)
      let made = try await metadata.read { session in
        try await session.connection.query("select distinct role from managed_role where made").rows
          .map { try $0.text("role") }
      }
      return (value, made)
    }
    try await target.remove(made: made)
    return value
  }

  package var planner: Planner { Planner(metadata: metadata, targets: targets) }
  package var explainer: Explainer { Explainer(metadata: metadata, targets: targets) }
  /// - Parameter limits: other limits on sessions in the target than the bench's
  package func lanes(worker: String = "bench", limits: TargetLimits? = nil) -> LaneRun {
    let own = limits.map { Targets(metadata: metadata, key: key, caFile: nil, limits: $0, logger: Self.quiet) }
    return LaneRun(metadata: metadata, targets: own ?? targets, worker: worker, logger: Self.quiet)
  }

  package func nextFence() -> Fence {
    Fence(
      epoch: 1,
      sequence: lastFence.withLock {
        $0 += 1
        return $0
      })
  }
}

// Running jobs.
extension Bench {
  /// Runs everything that is due, and what it submits, until nothing is; returns the jobs in the order they ended.
  /// What waits for a time is not waited for, unless `now`.
  @discardableResult
  package func drain(now: Bool = false) async throws -> [Job] {
    var ended: [Int64] = []
    for _ in 0..<Self.longestRun {
      if now {
        try await execute("update job set scheduled_at = now() where state in ('retryable', 'scheduled')")
      }
      let due = try await metadata.read { session in
        try await session.connection.query(
          """
          select lane_id, array_agg(id order by class, id) as ids from job
          where state in ('available', 'retryable', 'scheduled') and scheduled_at <= now() group by lane_id order by 1
          """
        ).rows.map { (try $0.int("lane_id"), try $0.intArray("ids")) }
      }
      if due.isEmpty {
        let finished = ended
        return try await metadata.read { session in
          var jobs: [Job] = []
          for id in finished { jobs.append(try await session.job(id: id)) }
          return jobs
        }
      }
      for (lane, ids) in due {
        for start in stride(from: 0, to: ids.count, by: Self.batchSize) {
          ended += try await run(Array(ids[start..<min(start + Self.batchSize, ids.count)]), lane: lane).map(\.id)
        }
      }
    }
    throw BenchError(text: "jobs of \(connection.name) do not come to an end")
  }

  /// Runs these jobs as one batch.
  @discardableResult
  package func run(_ jobs: [Int64], lane: Int64, limits: TargetLimits? = nil) async throws -> [JobResult] {
    let fence = nextFence()
    let lanes = lanes(limits: limits)
    let open = try await lanes.open(lane: lane)
    do {
      let claim = try await metadata.transaction { try await $0.claim(jobs, fence: fence, worker: "bench") }
      let results = try await lanes.run(claim.claimed, in: open)
      await open.close()
      _ = try await metadata.transaction { try await $0.settle(results, fence: fence) }
      return results
    } catch {
      await open.close()
      try await metadata.transaction { try await $0.release(jobs, fence: fence) }
      throw error
    }
  }

  /// Syncs the whole connection and runs what follows.
  package func sync() async throws {
    _ = try await metadata.transaction { try await $0.submitSync(of: self.connection.id) }
    try await drain()
  }

  package func execute(_ script: String) async throws {
    _ = try await metadata.read { try await $0.connection.execute(script) }
  }
}

// Changing the desired state.
extension Bench {
  /// Adds a user and returns the name, which is the role's too.
  @discardableResult
  package func addUser(_ name: String) async throws -> String {
    let full = "\(target.prefix)_\(name)"
    _ = try await metadata.transaction { try await $0.addIdentity(name: full, email: nil, role: nil) }
    return full
  }

  package func path(_ schema: String, _ table: String, in database: String? = nil) throws -> SecurablePath {
    try SecurablePath(parts: [connection.name, database ?? target.database, schema, table])
  }

  /// Submits subscriptions of a user to tables of the main database, named `schema.table`.
  @discardableResult
  package func subscribe(
    _ user: String, to tables: [String], _ access: AccessLevel = .read, in database: String? = nil
  ) async throws -> [SubmittedJob] {
    try await apply(
      try tables.map {
        SubscriptionRequest(kind: .subscribe, user: user, path: try path($0, in: database), access: access)
      })
  }

  @discardableResult
  package func revoke(
    _ user: String, from tables: [String], _ access: AccessLevel? = nil, in database: String? = nil
  ) async throws -> [SubmittedJob] {
    try await apply(
      try tables.map {
        SubscriptionRequest(kind: .revoke, user: user, path: try path($0, in: database), access: access)
      })
  }

  package func apply(_ requests: [SubscriptionRequest]) async throws -> [SubmittedJob] {
    try await metadata.transaction { session in
      let (resolved, faults) = try await session.resolve(requests)
      if let fault = faults.first { throw fault.value }
      return try await session.apply(resolved, actor: "test")
    }
  }

  private func path(_ table: String, in database: String?) throws -> SecurablePath {
    let parts = table.split(separator: ".", maxSplits: 1).map(String.init)
    return try path(parts[0], parts[1], in: database)
  }

  package func job(_ id: Int64) async throws -> Job { try await metadata.read { try await $0.job(id: id) } }
}

package struct BenchError: Error, CustomStringConvertible {
  let text: String
  package var description: String { text }
}

extension TestTarget {
  /// How Sluice would be told of this target.
  package func connection(name: String? = nil) -> Connection {
    var connection = Connection(
      name: name ?? "c\(prefix)", kind: .postgres, host: server.postgres.socketDirectory, database: database,
      username: manager)
    connection.port = server.postgres.port
    connection.tls = .disable
    return connection
  }
}

// Policies, and what the ledger and the trail say.
extension Bench {
  /// Stores a policy on a schema of the connection, or on some of its tables.
  package func applyPolicy(
    _ name: String, _ condition: String, schema: String, table: String = "*", access: AccessLevel = .read,
    effect: SubscriptionPolicy.Effect = .grant
  ) async throws {
    let target = PolicyTarget(
      connection: [try Glob(connection.name)], schema: [try Glob(schema)], table: [try Glob(table)])
    let policy = SubscriptionPolicy(
      name: name, effect: effect, access: access, target: target,
      condition: try Condition.parse(condition))
    _ = try await metadata.transaction { try await $0.apply(policy) }
  }

  /// Makes a group of these users.
  package func addGroup(_ name: String, _ users: [String]) async throws {
    try await metadata.transaction { session in
      try await session.addGroup(name)
      _ = try await session.changeMembers(of: name, users: users, add: true)
    }
  }

  package func leaveGroup(_ name: String, _ user: String) async throws {
    _ = try await metadata.transaction { try await $0.changeMembers(of: name, users: [user], add: false) }
  }

  /// Recomputes the audiences and runs what that submits.
  @discardableResult
  package func evaluate() async throws -> [Job] {
    _ = try await metadata.transaction { try await $0.submitEvaluations(of: [self.connection.id]) }
    return try await drain()
  }

  /// The statements that were run in the target, from the audit trail.
  package func statements() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query(
        "select detail ->> 'statements' as statements from audit where action = 'apply' order by id"
      ).rows.flatMap { try $0.text("statements").components(separatedBy: ";\n") }
    }
  }

  /// The role that makes audiences and their members: the login before PostgreSQL 16.
  package func policyRole() async throws -> String {
    guard target.server.hasMembershipOptions else { return target.manager }
    let installation = try await metadata.read { try await $0.installation() }
    return try PolicyRole.name(installation: installation, connection: connection.id).value
  }

  /// The roles of the connection's audiences.
  package func audienceRoles() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query("select role from audience order by role").rows.map { try $0.text("role") }
    }
  }

  /// Two tables, `sales.orders` and `sales.items`, synced, and a user without anything.
  package func makeSales() async throws -> String {
    try await target.createSchema("sales")
    try await target.createTables(["sales.orders", "sales.items"])
    try await sync()
    return try await addUser("ana")
  }
}

extension Bench {
  /// Registers the target once more.
  package func register(name: String? = nil) async throws -> Connection {
    try await metadata.transaction { session in
      try await session.insert(self.target.connection(name: name), secret: Secret(""), key: self.key)
    }
  }
}
