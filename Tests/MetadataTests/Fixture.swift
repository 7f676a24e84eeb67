import Governance
import Metadata
import Platform
import Postgres
import SluiceTestKit

/// A metadata database with one connection and a small tree, without any target.
struct Fixture: Sendable {
  let metadata: MetadataDatabase
  let key: SealingKey
  let connection: Connection

  /// The tree: database `main` with schema `sales` and the tables `orders` and `items`.
  static let main = CrawledDatabase(oid: 1, name: "main", owner: "o")
  static let sales = CrawledSchema(oid: 10, name: "sales", owner: "o")
  static let tables = [relation(100, "orders"), relation(101, "items")]

  static func relation(_ oid: UInt32, _ name: String, schema: UInt32 = 10) -> CrawledRelation {
    CrawledRelation(oid: oid, schemaOID: schema, name: name, kind: .table, owner: "o")
  }
  static let origin = CrawlOrigin(text: "here", token: 1)

  static func run(
    on server: TestServer? = nil, _ body: @Sendable (Fixture) async throws -> Void
  ) async throws {
    try await withMetadata(on: server) { metadata in
      let key = SealingKey.random()
      let connection = try await metadata.transaction {
        try await $0.insert(draft("warehouse"), secret: Secret("s3"), key: key)
      }
      let fixture = Fixture(metadata: metadata, key: key, connection: connection)
      _ = try await fixture.syncDatabases([main])
      _ = try await fixture.sync()
      try await body(fixture)
    }
  }

  static func draft(_ name: String) -> Connection {
    Connection(name: name, kind: .postgres, host: "db.example", database: "main", username: "sluice")
  }

  func write<Value: Sendable>(_ body: @Sendable (MetadataSession) async throws -> Value) async throws -> Value {
    try await metadata.transaction(body)
  }

  func read<Value: Sendable>(_ body: @Sendable (MetadataSession) async throws -> Value) async throws -> Value {
    try await metadata.read(body)
  }

  func rows(_ sql: String, _ parameters: [PostgresValue] = []) async throws -> [PostgresRow] {
    try await read { try await $0.connection.query(sql, parameters).rows }
  }

  func execute(_ sql: String) async throws { _ = try await read { try await $0.connection.execute(sql) } }
}

/// A schema as a crawl stages it.
struct CrawledSchema: Sendable {
  let oid: UInt32
  let name: String
  let owner: String
  var token: Int64 = 7
}

/// A relation as a crawl stages it.
struct CrawledRelation: Sendable {
  let oid: UInt32
  let schemaOID: UInt32
  let name: String
  let kind: SecurableKind
  let owner: String
  var token: Int64 = 7
  var columnsToken: Int64 = 70
}

// The tree.
extension Fixture {
  func syncDatabases(_ found: [CrawledDatabase]) async throws -> TreeChanges {
    try await write { try await $0.syncDatabases(of: connection.id, found: found) }
  }

  func sync(
    schemas: [CrawledSchema] = [sales], relations: [CrawledRelation] = tables, schema: Int64? = nil,
    relation: Int64? = nil
  ) async throws -> TreeChanges {
    let database = try await id("warehouse/main")
    return try await write {
      try await Self.stage(schemas, relations, $0)
      return try await $0.syncDatabase(database, schema: schema, relation: relation)
    }
  }

  /// What a crawl of everything would do: nothing if all is as it was.
  ///
  /// - Returns: whether it was current, and the relations whose columns were read.
  func syncAll(
    schemas: [CrawledSchema] = [sales], relations: [CrawledRelation] = tables, origin: CrawlOrigin = origin
  ) async throws -> (isCurrent: Bool, columns: [UInt32]) {
    let database = try await id("warehouse/main")
    return try await write { session in
      try await Self.stage(schemas, relations, session)
      if try await session.isCurrent(database, origin) { return (true, []) }
      _ = try await session.syncDatabase(database)
      let stale = try await session.staleColumns(in: database, origin)
      let read = relations.filter { stale.contains($0.oid) }
      _ = try await session.connection.copyIn(
        CrawlStage.columns,
        rows: read.map { [.int8(Int64($0.oid)), .int8($0.columnsToken), .textArray(["id"]), .textArray(["bigint"])] })
      try await session.storeColumns(in: database)
      try await session.note(origin, of: database)
      return (false, stale)
    }
  }

  private static func stage(
    _ schemas: [CrawledSchema], _ relations: [CrawledRelation], _ session: MetadataSession
  ) async throws {
    try await session.beginCrawl()
    _ = try await session.connection.copyIn(
      CrawlStage.schemas,
      rows: schemas.map { [.int8(Int64($0.oid)), .text($0.name), .text($0.owner), .int8($0.token)] })
    _ = try await session.connection.copyIn(
      CrawlStage.relations,
      rows: relations.map {
        [
          .int8(Int64($0.oid)), .int8(Int64($0.schemaOID)), .text($0.name), .text($0.kind.rawValue), .text($0.owner),
          .int8($0.token), .int8($0.columnsToken),
        ]
      })
  }

  func id(_ path: String) async throws -> Int64 {
    try await read { try await $0.securable(at: try SecurablePath(path)).id }
  }

  /// Names below the connection, without its own.
  func names() async throws -> [String] {
    try await read { try await $0.securables(below: try SecurablePath("warehouse"), depth: 3) }
      .map { $0.path.parts.dropFirst().joined(separator: "/") }
  }
}

// Jobs.
extension Fixture {
  func lane() async throws -> Int64 {
    try await read { try await $0.lane(.roles, of: connection.id).id }
  }

  func submit(_ scopes: JobScope..., kind: JobKind = .subscribe) async throws -> [SubmittedJob] {
    let lane = try await lane()
    return try await write { session in
      try await session.submit(
        scopes.map { JobRequest(lane: lane, kind: kind, jobClass: .interactive, scope: $0) })
    }
  }

  /// One job that is available.
  func submitOne() async throws -> Int64 { try await submit(.grantee("r"))[0].id }

  func claim(_ jobs: [Int64], _ sequence: Int64 = 1, worker: String = "w") async throws -> Claim {
    try await write { try await $0.claim(jobs, fence: Fence(epoch: 1, sequence: sequence), worker: worker) }
  }

  @discardableResult
  func settle(
    _ job: Int64, _ outcome: JobResult.Outcome, _ sequence: Int64 = 1, retryLimit: Duration = .seconds(3600)
  ) async throws -> [Int64: JobState] {
    try await write {
      try await $0.settle(
        [JobResult(id: job, outcome: outcome, error: outcome == .completed ? nil : "it failed")],
        fence: Fence(epoch: 1, sequence: sequence), retryLimit: retryLimit)
    }
  }

  /// Takes a page of each class in their order, as a scheduler does.
  func takeOutbox(epoch: Int64 = 1, limit: Int = 10) async throws -> [OutboxJob] {
    var jobs: [OutboxJob] = []
    for jobClass in JobClass.allCases {
      jobs += try await write { try await $0.takeOutbox(jobClass, epoch: epoch, limit: limit) }.jobs
    }
    return jobs
  }

  func takeRefill(epoch: Int64, limit: Int = 10) async throws -> [OutboxJob] {
    var jobs: [OutboxJob] = []
    for jobClass in JobClass.allCases {
      jobs += try await write { try await $0.takeRefill(jobClass, epoch: epoch, limit: limit) }.jobs
    }
    return jobs
  }

  func job(_ id: Int64) async throws -> Job { try await read { try await $0.job(id: id) } }
}

// People.
extension Fixture {
  @discardableResult
  func addUser(_ name: String, role: String? = nil) async throws -> Int64 {
    try await write { try await $0.addIdentity(name: name, email: nil, role: role) }
  }

  func apply(_ requests: [SubscriptionRequest]) async throws -> [SubmittedJob] {
    try await write { session in
      let (resolved, faults) = try await session.resolve(requests)
      if let fault = faults.values.first { throw fault }
      return try await session.apply(resolved, actor: "test")
    }
  }

  func subscribe(
    _ user: String, _ path: String = "warehouse/main/sales/orders", _ access: AccessLevel = .read,
    expires: String? = nil
  ) async throws -> [SubmittedJob] {
    try await apply([
      SubscriptionRequest(
        kind: .subscribe, user: user, path: try SecurablePath(path), access: access, expires: expires)
    ])
  }

  /// What is desired, as `role securable access`.
  func desired() async throws -> [String] {
    try await rows(
      """
      select a.role || ' ' || d.name || ' ' || a.access as entry
      from desired_access a join data_source d on d.id = a.securable_id order by 1
      """
    ).map { try $0.text("entry") }
  }

  func applyPolicy(_ name: String, _ condition: String, effect: SubscriptionPolicy.Effect) async throws {
    let policy = SubscriptionPolicy(
      name: name, effect: effect, access: .read, target: PolicyTarget(connection: [try Glob("warehouse")]),
      condition: try Condition.parse(condition))
    _ = try await write { try await $0.apply(policy) }
  }

  /// As if every member had been read back in the target.
  func finishJoining() async throws {
    let pairs = try await rows("select audience_role, member_role from desired_member")
    let (roles, members) = (
      try pairs.map { try $0.text("audience_role") }, try pairs.map { try $0.text("member_role") }
    )
    try await write { session in
      try await session.finishJoining(
        of: connection.id, roles: Array(Set(roles)), audiences: roles, members: members)
    }
  }
}
