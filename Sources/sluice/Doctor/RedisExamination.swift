import Platform
import Redis

/// What Redis says about itself, as far as a queue depends on it. `INFO` alone: managed services forbid `CONFIG`.
struct RedisExamination {
  /// A round trip that takes longer makes every lease and settlement slow.
  static let slowestPing: Duration = .milliseconds(20)
  /// Of the memory that Redis may use.
  static let fullMemory = (warning: 0.8, error: 0.95)
  /// Seconds that a replica may be behind.
  static let longestReplicaLag = 10
  /// The oldest release that is tested.
  static let oldestVersion = "6.2"

  /// The fields of INFO by name.
  let facts: [String: String]

  init(facts: [String: String]) { self.facts = facts }

  init(_ client: RedisClient) async throws {
    let sections = ["server", "clients", "memory", "persistence", "stats", "replication"]
    var facts: [String: String] = [:]
    for reply in try await client.pipeline(sections.map { ["INFO", $0] }) {
      for line in try reply.requireText().split(whereSeparator: \.isNewline) {
        let pair = line.split(separator: ":", maxSplits: 1).map(String.init)
        if pair.count == 2 { facts[pair[0]] = pair[1] }
      }
    }
    self.facts = facts
  }

  var findings: [Finding] { [version, role, eviction, memory] + persistence + replicas + refusals }

  private var version: Finding {
    let (name, number) =
      facts["valkey_version"].map { ("Valkey", $0) } ?? ("Redis", facts["redis_version"] ?? "unknown")
    let isOld = name == "Redis" && Self.isOlder(number, than: Self.oldestVersion)
    return isOld
      ? .warning("redis version", "Redis \(number)", remedy: "use Redis \(Self.oldestVersion) or newer, or Valkey")
      : .ok("redis version", "\(name) \(number)")
  }

  private static func isOlder(_ version: String, than other: String) -> Bool {
    func numbers(_ text: String) -> [Int] { text.split(separator: ".").map { Int($0) ?? 0 } }
    return numbers(version).lexicographicallyPrecedes(numbers(other))
  }

  private var role: Finding {
    facts["role"] == "slave"
      ? .error(
        "redis role", "this server is a replica: it takes no writes",
        remedy: "point SLUICE_REDIS_URL at the primary, or at its Sentinels with redis+sentinel://")
      : .ok("redis role", "primary")
  }

  private var eviction: Finding {
    let policy = facts["maxmemory_policy"] ?? "unknown"
    return policy == "noeviction"
      ? .ok("redis eviction", "maxmemory-policy noeviction")
      : .error(
        "redis eviction", "maxmemory-policy is \(policy): the queue may lose leases and counters without notice",
        remedy: "set maxmemory-policy to noeviction")
  }

  private var memory: Finding {
    let (used, most) = (number("used_memory"), number("maxmemory"))
    let limit = most > 0 ? most : number("total_system_memory")
    guard limit > 0 else { return .ok("redis memory", "\(Self.mebibytes(used)) used") }
    let share = Double(used) / Double(limit)
    let words =
      "\(Self.mebibytes(used)) of \(Self.mebibytes(limit)) used (\(most > 0 ? "maxmemory" : "the machine's memory"))"
    let remedy = "raise maxmemory, or lower SLUICE_QUEUE_LIMIT; see what waits with: sluice queue stats"
    if share >= Self.fullMemory.error { return .error("redis memory", words, remedy: remedy) }
    return share >= Self.fullMemory.warning
      ? .warning("redis memory", words, remedy: remedy) : .ok("redis memory", words)
  }

  private static func mebibytes(_ bytes: Int) -> String { "\((bytes + 1_048_575) / 1_048_576) MiB" }

  private var persistence: [Finding] {
    var findings: [Finding] = []
    if facts["loading"] == "1" {
      findings.append(
        .error("redis persistence", "Redis loads its data and answers nothing else", remedy: "wait until it has"))
    }
    for (field, what) in [("aof_last_write_status", "append-only file"), ("rdb_last_bgsave_status", "last snapshot")]
    where facts[field].map({ $0 != "ok" }) == true {
      findings.append(
        .error(
          "redis persistence", "the \(what) could not be written: Redis may refuse writes",
          remedy: "see the disk's room and permissions, and the log of Redis"))
    }
    if facts["aof_last_bgrewrite_status"].map({ $0 != "ok" }) == true {
      findings.append(
        .warning(
          "redis persistence", "the append-only file could not be rewritten and grows",
          remedy: "see the disk's room and the log of Redis"))
    }
    if facts["aof_enabled"] != "1" {
      findings.append(
        .warning(
          "redis persistence", "the append-only file is off: after a restart the queue is filled again from the ledger",
          remedy: "set appendonly to yes, and appendfsync to everysec"))
    }
    return findings.isEmpty ? [.ok("redis persistence", "append-only file on, written without errors")] : findings
  }

  private var replicas: [Finding] {
    guard facts["role"] != "slave" else { return [] }
    let count = number("connected_slaves")
    guard count > 0 else {
      return [
        .warning(
          "redis replicas", "no replica: if this server is lost, work stands still until it is back",
          remedy: "run a replica under Sentinel, or a managed Redis that fails over")
      ]
    }
    let late = (0..<count).compactMap { facts["slave\($0)"] }.filter(Self.isLate)
    if let first = late.first {
      return [
        .warning(
          "redis replicas", "\(late.count) of \(count) replicas are behind (\(first))",
          remedy: "see the replica's log and the network between them")
      ]
    }
    return [.ok("redis replicas", "\(count), up to date")]
  }

  /// `ip=…,port=…,state=online,offset=…,lag=0`
  private static func isLate(_ replica: String) -> Bool {
    let pairs = replica.split(separator: ",").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
    let fields = Dictionary(
      pairs.filter { $0.count == 2 }.map { ($0[0], $0[1]) }, uniquingKeysWith: { first, _ in first })
    return fields["state"] != "online" || (fields["lag"].flatMap { Int($0) } ?? 0) > longestReplicaLag
  }

  private var refusals: [Finding] {
    let count = number("rejected_connections")
    return count == 0
      ? []
      : [
        .warning(
          "redis connections", "Redis has turned away \(count) connections since it started: maxclients was reached",
          remedy: "raise maxclients, or see who holds so many connections: CLIENT LIST")
      ]
  }

  private func number(_ name: String) -> Int { facts[name].flatMap { Int($0) } ?? 0 }
}

extension RedisExamination {
  /// How many round trips are timed.
  private static let pingCount = 5

  /// The middle one of a few round trips.
  static func latency(_ client: RedisClient) async throws -> Finding {
    var times: [Duration] = []
    for _ in 0..<pingCount {
      let began = ContinuousClock.now
      _ = try await client.send(["PING"])
      times.append(began.duration(to: .now))
    }
    let middle = times.sorted()[pingCount / 2]
    let words = "a round trip takes \((middle.inSeconds * 1e6).rounded() / 1000) ms"
    return middle <= slowestPing
      ? .ok("redis latency", words)
      : .warning(
        "redis latency", words, remedy: "bring Redis and the workers closer together; see slow commands: SLOWLOG GET")
  }
}
