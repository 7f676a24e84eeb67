import Foundation
import LakebaseStandIn
import LocalServers
import Logging
import Platform

/// The engines of `sluice dev`: Redis, two PostgreSQL servers, and the workspace with its instance.
struct DevServers: Sendable {
  static let instanceName = "dev-instance"
  static let clientID = "5a1ce000-0000-4000-8000-000000000001"
  static let superuser = "cloud_admin"
  static let people = ["ana@example.com", "rui@example.com"]
  /// Making certificates and listening; the servers have limits of their own.
  private static let workspaceLimit: Duration = .seconds(60)

  let redis: PrivateRedis
  let metadata: PrivatePostgres
  let target: PrivatePostgres
  let workspace: StandIn
  let instance: StandIn.Instance

  /// Starts all of them; what had started is stopped again if a later one does not.
  static func start(in directory: DevDirectory, withExample: Bool, logger: Logger) async throws -> DevServers {
    var started: [@Sendable () async -> Void] = []
    do {
      return try await start(in: directory, withExample, logger, &started)
    } catch {
      for stop in started.reversed() { await stop() }
      throw error
    }
  }

  private static func start(
    in directory: DevDirectory, _ withExample: Bool, _ logger: Logger, _ started: inout [@Sendable () async -> Void]
  ) async throws -> DevServers {
    logger.info("starting Redis")
    let redis = try await PrivateRedis.start(
      .init(directory: directory.redis, port: try directory.port(of: "redis")), logger: logger)
    started.append { await redis.stop() }
    logger.info("starting PostgreSQL for the metadata database")
    let metadata = try await PrivatePostgres.start(
      .init(directory: directory.metadata, installation: try await PostgresInstallation.find(atLeast: 15)),
      logger: logger)
    started.append { await metadata.stop() }
    logger.info("starting PostgreSQL for the Lakebase instance")
    let target = try await PrivatePostgres.start(
      .init(
        directory: directory.target, installation: try await PostgresInstallation.find(), superuser: superuser),
      logger: logger)
    started.append { await target.stop() }
    let instance = StandIn.Instance(
      name: instanceName, upstream: .socket(directory: target.socketDirectory, port: target.port),
      superuser: superuser)
    let identities = try Self.identities(directory)
    try await prepare(instance, identities, withExample: withExample)
    logger.info("starting the workspace and the gateway")
    let workspace = try await startWorkspace(directory, instance, identities, logger)
    return DevServers(redis: redis, metadata: metadata, target: target, workspace: workspace, instance: instance)
  }

  private static func identities(_ directory: DevDirectory) throws -> [StandIn.Identity] {
    let principal = StandIn.Identity(
      name: clientID, secret: try directory.secret(of: clientID), kind: .servicePrincipal)
    return [principal]
      + (try people.map { .init(name: $0, secret: try directory.secret(of: $0), kind: .user) })
  }

  private static func prepare(
    _ instance: StandIn.Instance, _ identities: [StandIn.Identity], withExample: Bool
  ) async throws {
    let bootstrap = Bootstrap(instance)
    try await bootstrap.run(identities: identities)
    if withExample { try await bootstrap.addExample() }
  }

  private static func startWorkspace(
    _ directory: DevDirectory, _ instance: StandIn.Instance, _ identities: [StandIn.Identity],
    _ logger: Logger
  ) async throws -> StandIn {
    var configuration = StandIn.Configuration(
      directory: directory.workspace, instances: [instance], identities: identities)
    configuration.workspacePort = try directory.port(of: "workspace")
    configuration.gatewayPort = try directory.port(of: "gateway")
    let settled = configuration
    return try await within(workspaceLimit, "starting the workspace") {
      try await StandIn.start(settled, logger: logger)
    }
  }

  /// Between two looks whether a server runs.
  private static let watchInterval: Duration = .seconds(1)

  /// Starts again whichever server ends, until the task is cancelled.
  func keepAlive(_ logger: Logger, onChange: @Sendable () async throws -> Void) async throws {
    while true {
      try await Task.sleep(for: Self.watchInterval)
      if await redis.pid == nil { try await restart("Redis", logger, onChange) { try await redis.start() } }
      if await metadata.pid == nil {
        try await restart("PostgreSQL of the metadata database", logger, onChange) { try await metadata.start() }
      }
      if await target.pid == nil {
        try await restart("PostgreSQL of the Lakebase instance", logger, onChange) { try await target.start() }
      }
    }
  }

  private func restart(
    _ name: String, _ logger: Logger, _ onChange: () async throws -> Void, _ start: () async throws -> Void
  ) async throws {
    logger.warning("\(name) ended and is started again")
    do { try await start() } catch let error as LocalServersError {
      // What a killed server left behind goes in a moment: the next look tries again.
      return logger.warning("\(name) does not start", metadata: ["error": "\(error)"])
    }
    try await onChange()
  }

  /// In the order in which they depend on each other.
  func stop() async {
    await workspace.shutDown()
    await target.stop()
    await metadata.stop()
    await redis.stop()
  }
}

/// Runs `body` with a limit on its time.
func within<Value: Sendable>(
  _ limit: Duration, _ what: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: limit)
      throw CommandFailure(.timedOut, "\(what) took longer than \(DurationText.format(limit))")
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}
