/// What a running server says about itself, as far as a job queue depends on it.
package struct RedisServerFindings: Sendable {
  package let version: String
  package let maxmemoryPolicy: String
  package let isAppendOnly: Bool
  /// Settings that work but cost something; each says what to do.
  package let warnings: [String]
}

extension RedisClient {
  /// Reads the server's settings through `INFO`, which managed services allow where `CONFIG` is forbidden.
  ///
  /// - Throws: `.configuration` if the server may evict keys: a queue that loses keys under memory pressure loses
  ///   its leases and counters without notice.
  package func checkServer() async throws(RedisError) -> RedisServerFindings {
    let replies = try await pipeline([
      ["INFO", "server"], ["INFO", "memory"], ["INFO", "persistence"], ["INFO", "replication"],
    ])
    var facts: [Substring: Substring] = [:]
    for reply in replies {
      for line in try reply.requireText().split(whereSeparator: \.isNewline) {
        let pair = line.split(separator: ":", maxSplits: 1)
        if pair.count == 2 { facts[pair[0]] = pair[1] }
      }
    }
    let policy = String(facts["maxmemory_policy"] ?? "unknown")
    guard policy == "noeviction" else {
      throw RedisError(
        .configuration,
        "\(configuration.endpoint) may evict keys (maxmemory-policy \(policy)); set maxmemory-policy to noeviction")
    }
    return RedisServerFindings(
      version: String(facts["redis_version"] ?? "unknown"), maxmemoryPolicy: policy,
      isAppendOnly: facts["aof_enabled"] == "1", warnings: Self.warnings(facts))
  }

  /// With fewer replicas, `min-replicas-to-write` would stop the queue whenever one is restarted.
  private static let replicasToSpare = 2

  private static func warnings(_ facts: [Substring: Substring]) -> [String] {
    var warnings: [String] = []
    if facts["aof_enabled"] != "1" {
      warnings.append(
        "append-only file is off: after a restart the queue is filled again from the metadata database, "
          + "which takes time; set appendonly to yes")
    }
    // The server tells how many good replicas it has only if it asks for some.
    if let count = facts["connected_slaves"].flatMap({ Int($0) }), count >= replicasToSpare,
      facts["min_slaves_good_slaves"] == nil
    {
      warnings.append(
        "a primary that was cut off from its \(count) replicas would go on handing out jobs beside the one that takes "
          + "its place, for nothing; set min-replicas-to-write to 1 and min-replicas-max-lag to 10")
    }
    return warnings
  }
}
