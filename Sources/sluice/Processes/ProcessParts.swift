import Cluster
import Console
import Enforcement
import Foundation
import JobQueue
import Logging
import Metadata
import Platform
import Redis
import ServiceLifecycle

/// What a long-running process is made of: the metadata database, the queue, and the way to the targets.
struct ProcessParts: Sendable {
  /// A process whose loop has not come round for this long is not alive any more.
  private static let livenessLimit: Duration = .seconds(300)
  /// After the drain: how long giving work back may take.
  private static let cancellationLimit: Duration = .seconds(15)

  let settings: Settings
  let metadata: MetadataDatabase
  let redis: RedisClient
  let wake: RedisClient
  let queue: LaneQueue
  let targets: Targets
  let logger: Logger

  /// Opens everything and checks it: the version of the schema, and that Redis does not evict.
  ///
  /// - Parameters:
  ///   - connections: connections to the metadata database at the same time.
  ///   - leases: true if the process leases: it waits for a scheduler before it uses a Redis that is new to the queue.
  static func open(
    _ settings: Settings, label: String, connections: Int, leases: Bool = false
  ) async throws -> ProcessParts {
    let logger = Logger(label: label)
    let key = try settings.sealingKey()
    let redisConfiguration = try settings.redisConfiguration()
    let metadata = MetadataDatabase(
      configuration: try settings.metadataConfiguration(), connections: connections,
      retryLimit: settings.duration(.retryLimit))
    var queueConfiguration = LaneQueue.Configuration(leaseTTL: settings.duration(.leaseTTL))
    queueConfiguration.mostWaiting = settings.integer(.queueLimit)
    if settings[.queueConnectionLimit] != nil {
      queueConfiguration.mostWaitingOfConnection = settings.integer(.queueConnectionLimit)
    }
    let redis = RedisClient(
      configuration: redisConfiguration, logger: logger,
      admission: leases ? LaneQueue.admission(queueConfiguration) : nil)
    let wake = RedisClient(configuration: redisConfiguration, logger: logger)
    let parts = ProcessParts(
      settings: settings, metadata: metadata, redis: redis, wake: wake,
      queue: LaneQueue(client: redis, wakeClient: wake, configuration: queueConfiguration),
      targets: Targets(
        metadata: metadata, key: key, caFile: settings[.caFile], limits: settings.targetLimits, logger: logger),
      logger: logger)
    do {
      try await metadata.read { try await Schema.requireCurrent($0) }
      for warning in try await wake.checkServer().warnings { logger.warning("\(warning)") }
      return parts
    } catch {
      await parts.close()
      throw error
    }
  }

  func close() async {
    await redis.close()
    await wake.close()
    await metadata.shutDown()
  }

  /// Runs `service` until SIGTERM or SIGINT, drains, and closes everything.
  func run(_ service: any Service, progress: LoopProgress) async throws {
    var services: [any Service] = [service]
    // First in the list is shut down last: health is answered until the end.
    if let address = settings.address(.health) { services.insert(health(address, progress), at: 0) }
    var configuration = ServiceGroupConfiguration(
      services: services.map {
        .init(
          service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
          failureTerminationBehavior: .gracefullyShutdownGroup)
      }, gracefulShutdownSignals: [.sigterm, .sigint], logger: .quiet)
    configuration.maximumGracefulShutdownDuration = settings.duration(.drainTimeout)
    configuration.maximumCancellationDuration = Self.cancellationLimit
    do {
      try await ServiceGroup(configuration: configuration).run()
      await close()
    } catch {
      await close()
      throw error
    }
  }

  private func health(_ address: ListenAddress, _ progress: LoopProgress) -> HealthEndpoint {
    HealthEndpoint(
      address: address, logger: logger,
      liveness: {
        let age = progress.age
        return age < Self.livenessLimit
          ? .fine : HealthVerdict(reasons: ["no round of work for \(DurationText.rounded(age))"])
      }, readiness: { await readiness() })
  }

  private func readiness() async -> HealthVerdict {
    var reasons: [String] = []
    do { try await metadata.read { try await Schema.requireCurrent($0) } } catch {
      reasons.append("metadata database: \(error)")
    }
    do { _ = try await redis.send(["PING"]) } catch { reasons.append("\(error)") }
    return HealthVerdict(reasons: reasons)
  }

  /// Names this process in leases, in the ledger and in logs: machine and process number.
  static var processName: String { "\(hostName)-\(getpid())" }

  static var hostName: String {
    var buffer = [CChar](repeating: 0, count: 256)
    let code = gethostname(&buffer, buffer.count - 1)
    let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return code == 0 ? String(decoding: bytes, as: UTF8.self) : "unknown"
  }
}
