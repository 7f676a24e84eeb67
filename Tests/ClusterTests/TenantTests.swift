import JobQueue
import Metadata
import Platform
import SluiceTestKit
import Testing

/// What one connection with a large backlog costs another: nothing, by way of ledger and scheduler, counted in leases.
@Suite(.timeLimit(.minutes(5)))
struct TenantTests {
  /// Two connections without targets, and the roles lane of each.
  private struct Tenants: Sendable {
    let large: (id: Int64, lane: Int64)
    let small: (id: Int64, lane: Int64)
    let cluster: ClusterBench

    init(_ cluster: ClusterBench) async throws {
      self.cluster = cluster
      large = try await Self.add("large", cluster)
      small = try await Self.add("small", cluster)
    }

    private static func add(_ name: String, _ cluster: ClusterBench) async throws -> (id: Int64, lane: Int64) {
      let draft = Connection(name: name, kind: .postgres, host: "nowhere.invalid", database: "d", username: "u")
      return try await cluster.metadata.transaction { session in
        let id = try await session.insert(draft, secret: Secret(""), key: cluster.bench.key).id
        return (id, try await session.lane(.roles, of: id).id)
      }
    }

    func submit(
      _ count: Int, to lane: Int64, kind: JobKind = .sync, _ jobClass: JobClass = .bulk
    ) async throws -> [SubmittedJob] {
      try await cluster.metadata.transaction { session in
        try await session.submit(
          (0..<count).map { JobRequest(lane: lane, kind: kind, jobClass: jobClass, scope: .grantee("r\($0)")) })
      }
    }

    func fullConnections() async throws -> Set<Int64> {
      try await cluster.metadata.read { try await $0.queueState() }.fullConnections
    }
    func depth(_ connection: Int64) async throws -> Int {
      try await cluster.queue.depths(of: [connection])[connection] ?? 0
    }

    /// Leases and settles until all these jobs came; returns how many leases that took.
    func leases(until jobs: Set<Int64>) async throws -> Int {
      var (missing, leases) = (jobs, 0)
      while !missing.isEmpty {
        try await cluster.wait("jobs \(missing) are not in Redis") {
          try await cluster.waiting() ?? 0 > 0
        }
        guard case .leased(let lease) = try await cluster.queue.lease(worker: "t", limit: 100) else { continue }
        leases += 1
        missing.subtract(lease.jobs)
        try await cluster.queue.settle(lease, lease.jobs.reduce(into: [:]) { $0[$1] = .done(.completed) })
      }
      return leases
    }
  }

  private static func run(mostOfConnection: Int, _ body: @Sendable (Tenants) async throws -> Void) async throws {
    try await ClusterBench.run(mostWaitingOfConnection: mostOfConnection) { cluster in
      // What the bench's own connection began with is of no interest here.
      try await cluster.bench.drain()
      _ = try await cluster.metadata.read { try await $0.connection.execute("delete from outbox") }
      try await body(Tenants(cluster))
    }
  }

  @Test func aStoppedTenantThatFillsItsShareLeavesRoomForOthers() async throws {
    try await Self.run(mostOfConnection: 1000) { tenants async throws in
      let (queue, large, small) = (tenants.cluster.queue, tenants.large, tenants.small)
      let backlog = Set(try await tenants.submit(2500, to: large.lane).map(\.id))
      try await tenants.cluster.running([tenants.cluster.scheduler()]) { () async throws in
        try await tenants.cluster.wait("the connection is not full") {
          try await tenants.fullConnections() == [large.id]
        }
        try await queue.park(connection: large.id, for: .seconds(3600))
        #expect(try await tenants.depth(large.id) < 2000)
        let first = try await tenants.submit(1, to: small.lane)
        #expect(first.map(\.isQueueFull) == [false])
        #expect(try await tenants.leases(until: Set(first.map(\.id))) == 1)
        #expect(try await tenants.submit(1, to: large.lane).map(\.isQueueFull) == [true])
        // A revoke needs no room, and what was kept back follows when there is some.
        let before = try await tenants.depth(large.id)
        let revoke = try await tenants.submit(1, to: large.lane, kind: .revoke, .revoke)
        try await tenants.cluster.wait("the revoke is kept back") {
          try await tenants.depth(large.id) == before + 1
        }
        try await queue.wake(connection: large.id)
        _ = try await tenants.leases(until: backlog.union(revoke.map(\.id)))
        try await tenants.cluster.wait("the connection stays full") { try await tenants.fullConnections().isEmpty }
      }
    }
  }

  @Test func aBacklogInTheLedgerDoesNotDelayAnother() async throws {
    try await Self.run(mostOfConnection: 1_000_000) { tenants async throws in
      _ = try await tenants.submit(20_000, to: tenants.large.lane)
      let first = try await tenants.submit(1, to: tenants.small.lane)
      try await tenants.cluster.running([tenants.cluster.scheduler()]) { () async throws in
        #expect(try await tenants.leases(until: Set(first.map(\.id))) <= 2)
      }
    }
  }

  /// Neither what Redis has forgotten of it, nor what is new.
  @Test func refillingRedisWithABacklogDoesNotDelayAnother() async throws {
    try await Self.run(mostOfConnection: 1_000_000) { tenants async throws in
      _ = try await tenants.submit(20_000, to: tenants.large.lane)
      let old = try await tenants.submit(1, to: tenants.small.lane, kind: .subscribe)
      _ = try await tenants.cluster.metadata.read { try await $0.connection.execute("delete from outbox") }
      let new = try await tenants.submit(1, to: tenants.small.lane)
      // The first thing that a scheduler does is to begin an epoch, because this Redis has none.
      try await tenants.cluster.running([tenants.cluster.scheduler()]) { () async throws in
        #expect(try await tenants.leases(until: Set((old + new).map(\.id))) <= 2)
      }
    }
  }
}
