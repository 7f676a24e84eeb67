import JobQueue
import Logging
import Metadata
import Platform
import Redis

extension Settings {
  func redisConfiguration() throws -> RedisConfiguration {
    // Authorities are for whatever speaks TLS; a Redis without it is no contradiction.
    let isEncrypted = text(.redisURL).hasPrefix("rediss:")
    return try RedisConfiguration(url: secret(.redisURL), caFile: isEncrypted ? self[.caFile] : nil)
  }
}

/// The queue in Redis as short commands use it: to look, never to lease.
extension Settings {
  /// Opens the queue for `body` and closes its connections again.
  func withQueue<Value: Sendable>(_ body: (LaneQueue) async throws -> Value) async throws -> Value {
    try await withQueue { queue, _ in try await body(queue) }
  }

  /// As above, with the client beneath it for what is not the queue's own.
  func withQueue<Value: Sendable>(_ body: (LaneQueue, RedisClient) async throws -> Value) async throws -> Value {
    let configuration = try redisConfiguration()
    let logger = Logger(label: "sluice.redis")
    let client = RedisClient(configuration: configuration, logger: logger)
    let wakeClient = RedisClient(configuration: configuration, logger: logger)
    let queue = LaneQueue(client: client, wakeClient: wakeClient)
    do {
      // Before the queue, whose errors no longer tell a refused login from others.
      _ = try await client.send(["PING"])
      let value = try await body(queue, client)
      await client.close()
      await wakeClient.close()
      return value
    } catch {
      await client.close()
      await wakeClient.close()
      throw error
    }
  }
}

extension Job {
  /// The job as the queue knows it.
  var queued: QueuedJob {
    // Governance lanes belong to no connection there: no stopped instance holds them up.
    let connection = lane.kind == .governance ? 0 : lane.connection
    return QueuedJob(
      number: id, lane: LaneID(connection: connection, lane: lane.id),
      jobClass: .init(rawValue: jobClass.rawValue) ?? .bulk)
  }
}
