import Metadata
import Testing

@testable import sluice

/// What `sluice doctor` makes of what servers say about themselves.
@Suite struct DoctorTests {
  private static let healthyRedis = [
    "redis_version": "7.0.15", "role": "master", "maxmemory_policy": "noeviction", "used_memory": "1000000",
    "maxmemory": "100000000", "loading": "0", "aof_enabled": "1", "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok", "aof_last_bgrewrite_status": "ok", "connected_slaves": "1",
    "slave0": "ip=10.0.0.1,port=6379,state=online,offset=17,lag=0", "rejected_connections": "0",
  ]

  private static func redis(_ changes: [String: String] = [:]) -> [Finding] {
    RedisExamination(facts: healthyRedis.merging(changes) { $1 }).findings.filter { $0.verdict != .ok }
  }

  @Test func aHealthyRedisIsFine() { #expect(Self.redis() == []) }

  @Test(arguments: [
    (["redis_version": "5.0.14"], "redis version", Finding.Verdict.warning),
    (["role": "slave"], "redis role", .error),
    (["maxmemory_policy": "allkeys-lru"], "redis eviction", .error),
    (["used_memory": "85000000"], "redis memory", .warning),
    (["used_memory": "96000000"], "redis memory", .error),
    (["used_memory": "85", "maxmemory": "0", "total_system_memory": "100"], "redis memory", .warning),
    (["loading": "1"], "redis persistence", .error),
    (["aof_enabled": "0"], "redis persistence", .warning),
    (["aof_last_write_status": "err"], "redis persistence", .error),
    (["rdb_last_bgsave_status": "err"], "redis persistence", .error),
    (["aof_last_bgrewrite_status": "err"], "redis persistence", .warning),
    (["connected_slaves": "0"], "redis replicas", .warning),
    (["slave0": "ip=10.0.0.1,port=6379,state=wait_bgsave,offset=0,lag=0"], "redis replicas", .warning),
    (["slave0": "ip=10.0.0.1,port=6379,state=online,offset=0,lag=60"], "redis replicas", .warning),
    (["rejected_connections": "3"], "redis connections", .warning),
  ])
  func eachFaultOfRedisIsOneFinding(changes: [String: String], check: String, verdict: Finding.Verdict) {
    let found = Self.redis(changes)
    #expect(found.map(\.check) == [check] && found.map(\.verdict) == [verdict], "\(found)")
    #expect(found.allSatisfy { $0.remedy?.isEmpty == false })
  }

  @Test func valkeyIsNoOldRedis() {
    #expect(Self.redis(["redis_version": "5.0.0", "valkey_version": "8.0.1"]) == [])
  }

  private static func metadata(
    version: Int = 170_002, isReplica: Bool = false, settings: [String: String] = [:], connections: Int = 10,
    longestTransaction: Duration = .zero
  ) -> [Finding] {
    let healthy = ["fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "autovacuum": "on"]
    let facts = ServerFacts(
      version: "17.2", versionNumber: version, isReplica: isReplica, settings: healthy.merging(settings) { $1 },
      connections: connections, mostConnections: 100, longestTransaction: longestTransaction, leaderSilence: .zero)
    return MetadataExamination(facts: facts).findings.filter { $0.verdict != .ok }
  }

  @Test func eachFaultOfTheMetadataServerIsOneFinding() {
    #expect(Self.metadata() == [])
    let faults: [([Finding], String, Finding.Verdict)] = [
      (Self.metadata(version: 140_000), "metadata version", .error),
      (Self.metadata(isReplica: true), "metadata role", .error),
      (Self.metadata(settings: ["fsync": "off"]), "metadata durability", .error),
      (Self.metadata(settings: ["full_page_writes": "off"]), "metadata durability", .error),
      (Self.metadata(settings: ["synchronous_commit": "off"]), "metadata durability", .error),
      (Self.metadata(settings: ["autovacuum": "off"]), "metadata autovacuum", .warning),
      (Self.metadata(connections: 95), "metadata connections", .warning),
      (Self.metadata(longestTransaction: .seconds(3600)), "metadata transactions", .warning),
    ]
    for (found, check, verdict) in faults {
      #expect(found.map(\.check) == [check] && found.map(\.verdict) == [verdict], "\(found)")
    }
  }

  @Test(arguments: [
    (0.5, 0.001, Finding.Verdict.ok), (-3, 0.001, .warning), (3, 0.001, .warning), (3, 2, .ok), (90, 0.1, .error),
  ])
  func clocksMayBeApartBySoMuch(offset: Double, uncertainty: Double, verdict: Finding.Verdict) {
    let finding = ClockExamination.finding("redis", .init(offset: offset, uncertainty: uncertainty))
    #expect(finding.verdict == verdict, "\(finding)")
  }

  @Test func aReadingComparesWithTheMiddleOfTheCall() async throws {
    let reading = await ClockExamination.Reading { 0 }
    #expect(reading.offset < -1_000_000_000 && reading.uncertainty >= 0)
  }

  @Test func aLeaderThatSaysNothingIsNoneThatLeads() {
    func finding(_ silence: Duration?) -> Finding { ClusterExamination.scheduler(leaderSilence: silence) }
    #expect(finding(.seconds(3)).verdict == .ok && finding(nil).verdict == .error)
    let frozen = finding(.seconds(28))
    #expect(frozen.verdict == .error && frozen.message.contains("was last heard of 28s ago"), "\(frozen)")
  }

  @Test func whatIsNotInRedisForLongIsAnError() {
    func verdict(_ count: Int, _ age: Duration, isRefilling: Bool = false, fullSince: String? = nil) -> Finding.Verdict
    {
      ClusterExamination.outbox(
        NotEnqueued(count: count, oldestAge: age, isRefilling: isRefilling, fullSince: fullSince)
      ).verdict
    }
    #expect(verdict(50_000, .seconds(2)) == .ok)
    #expect(verdict(1, .seconds(60)) == .error)
    #expect(verdict(1, .seconds(60), fullSince: "2026-01-01T00:00:00.000Z") == .warning)
    #expect(verdict(10_000, .zero, isRefilling: true) == .warning)
    #expect(verdict(0, .zero, isRefilling: true) == .ok)
    #expect(
      ClusterExamination.outbox(
        NotEnqueued(count: 1, oldestAge: .zero, isRefilling: false, fullSince: nil, fullConnections: 2)
      ).verdict == .warning)
  }

  @Test func aFindingIsOneLineWithItsRemedy() {
    let line = Finding.error("redis role", "a\nb", remedy: "do c").line(width: 12)
    #expect(line == "error    redis role    a·b; do c")
  }
}
