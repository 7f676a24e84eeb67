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
    let replies = try await pipeline([["INFO", "server"], ["INFO", "memory"], ["INFO", "persistence"]])
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
    let isAppendOnly = facts["aof_enabled"] == "1"
    let warning =
      "append-only file is off: after a restart the queue is filled again from the metadata database, "
      + "which takes time; set appendonly to yes"
    return RedisServerFindings(
      version: String(facts["redis_version"] ?? "unknown"), maxmemoryPolicy: policy, isAppendOnly: isAppendOnly,
      warnings: isAppendOnly ? [] : [warning])
  }
}
