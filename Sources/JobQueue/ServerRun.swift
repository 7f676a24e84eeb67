import Redis

/// Which server holds the shard, and since when it has been the primary.
///
/// A restart changes the first part, a failover the second too: also the one that brings back, with the data of another
/// server, a server that was the primary before.
enum ServerRun {
  static let questions = [["INFO", "server"], ["INFO", "replication"]]

  /// `run/replication`, as the server answers `questions`; nil if it does not tell.
  static func name(_ answers: ArraySlice<RedisValue>) throws(RedisError) -> String? {
    var facts: [Substring: Substring] = [:]
    for answer in answers {
      for line in try answer.requireText().split(whereSeparator: \.isNewline) {
        let pair = line.split(separator: ":", maxSplits: 1)
        if pair.count == 2 { facts[pair[0]] = pair[1] }
      }
    }
    guard let run = facts["run_id"] else { return nil }
    return facts["master_replid"].map { "\(run)/\($0)" } ?? String(run)
  }
}

extension LaneQueue {
  /// The run of the server that holds the shard: another after a restart or a failover.
  package func serverRunID() async throws(JobQueueError) -> String? {
    try await requesting { () throws(RedisError) in
      try ServerRun.name(try await client.pipeline(ServerRun.questions)[...])
    }
  }

  /// Gives the shard an epoch and forgets all that an older one left, except the workers. Apply the rules and
  /// enqueue all unfinished jobs after it. Repeating it with the same epoch changes nothing.
  ///
  /// - Returns: False if the shard has a higher epoch already.
  package func establish(epoch: Int64) async throws(JobQueueError) -> Bool {
    precondition(epoch > 0, "an epoch is positive")
    // The run first: workers that are let in too early find an old epoch, under which the ledger gives them nothing.
    let run = try await serverRunID() ?? ""
    _ = try await requesting { () throws(RedisError) in try await client.send(["SET", keys.run, run]) }
    let reply = try await self.run(.establish, [String(epoch)])
    return try decoding { () throws(RedisError) in try reply.requireInteger() == 1 }
  }

  /// Lets a worker's client use a server only after a scheduler has established an epoch on it.
  ///
  /// A server that has taken another's place, or came back from its files, may have forgotten the last leases: it would
  /// give their fences out again, and the jobs that still run under them. A server without any memory is let in: its
  /// scripts refuse by themselves.
  package static func admission(_ configuration: Configuration) -> RedisAdmission {
    let keys = ShardKeys(prefix: configuration.prefix, shard: configuration.shard)
    return RedisAdmission(commands: [["GET", keys.run]] + ServerRun.questions) { answers throws(RedisError) in
      guard let established = try answers[0].orThrow().text else { return }
      if try ServerRun.name(answers[1...]) == established { return }
      throw RedisError(.server(prefix: "EPOCHLOST"), "the queue has not been established on this server")
    }
  }

  /// Gives up the connection: the ledger says that another server holds the queue.
  package func reconnect() { client.reconnect() }
}
