import JobQueue
import Logging
import Metadata
import Platform
import Redis

extension Settings {
  func redisConfiguration() throws -> RedisConfiguration {
    var configuration = try RedisConfiguration(url: secret(.redisURL))
    // Authorities are for whatever speaks TLS; a Redis without it is no contradiction.
    configuration.tls?.caFile = self[.caFile]
    configuration.tls?.identity = redisIdentity
    return configuration
  }

  private var redisIdentity: RedisIdentity? {
    guard let certificate = self[.redisCertificateFile], let key = self[.redisKeyFile] else { return nil }
    return RedisIdentity(certificateFile: certificate, keyFile: key)
  }

  /// What is wrong with the settings of Redis together, each of which is right by itself.
  var redisContradictions: [String] {
    let (certificate, key) = (SettingKey.redisCertificateFile, SettingKey.redisKeyFile)
    guard let identity = redisIdentity else {
      let given = [certificate, key].first { self[$0] != nil }
      return given.map { ["\($0.name) is given alone; give \(certificate.name) and \(key.name) together"] } ?? []
    }
    var faults = identity.problems().map { "\(certificate.name), \(key.name): \($0)" }
    if let url = self[.redisURL], !url.lowercased().hasPrefix("rediss") {
      faults.append(
        "\(certificate.name) is given, but redis_url does not use TLS; write rediss:// or rediss+sentinel://")
    }
    return faults
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
      jobClass: .init(rawValue: jobClass.rawValue) ?? .bulk, kind: kind)
  }
}
