import Foundation
import LocalServers
import Platform

/// Everything that runs, and how it is reached.
struct CampaignCluster: Sendable {
  static let schedulers = ["scheduler-1", "scheduler-2"]
  /// Behind the link, where there is one.
  static let farWorker = "worker-4"
  static let workers = ["worker-1", "worker-2", "worker-3", farWorker]
  /// The role and the password that Sluice logs in with, in the metadata database and in the target.
  static let (user, password) = ("sluice", "campaign")
  /// Short, so that a lost worker's lanes move within seconds.
  static let leaseSeconds = 3

  let directory: String
  let metadata: PrivatePostgres
  /// By the name of the connection.
  let targets: [String: PrivatePostgres]
  let redis: RedisGroup
  /// Nil where no namespace may be made.
  let network: NetworkLink?
  let processes = SluiceProcesses()
  let command: SluiceCommand
  let address: String

  /// Starts the servers, in a directory that they can enter as the user they run as.
  static func start(in directory: String, executable: String, withSentinels: Bool) async throws -> CampaignCluster {
    var started: [@Sendable () async -> Void] = []
    do {
      let network = NetworkLink.isPossible ? try await NetworkLink.make() : nil
      if let network { started.append { await network.remove() } }
      let address = network == nil ? "127.0.0.1" : NetworkLink.serverAddress
      let rules = "\(directory)/pg_hba.conf"
      try accessRules.write(toFile: rules, atomically: false, encoding: .utf8)
      let metadata = try await postgres("\(directory)/metadata", address, rules, durable: true)
      started.append { await metadata.stop(.immediate) }
      var targets: [String: PrivatePostgres] = [:]
      for (name, _) in Population.connections {
        let target = try await postgres("\(directory)/target-\(name)", address, rules)
        started.append { await target.stop(.immediate) }
        targets[name] = target
      }
      let redis = try await RedisGroup.start(in: directory, address: address, withSentinels: withSentinels)
      started.append { await redis.stop() }
      let environment = environment(
        directory, metadata: "postgres://\(user):\(password)@\(address):\(metadata.port)/sluice?sslmode=disable",
        redis: redis.url)
      return CampaignCluster(
        directory: directory, metadata: metadata, targets: targets, redis: redis, network: network,
        command: SluiceCommand(
          executable: executable, environment: environment,
          failures: try CommandFailures(path: "\(directory)/commands.log")),
        address: address)
    } catch {
      for stop in started.reversed() { await stop() }
      throw error
    }
  }

  func stop() async {
    await redis.stop()
    for target in targets.values { await target.stop(.immediate) }
    await metadata.stop(.immediate)
    await network?.remove()
  }

  private static func postgres(
    _ directory: String, _ address: String, _ rules: String, durable: Bool = false
  ) async throws -> PrivatePostgres {
    let places = address.hasPrefix("127.") ? address : "127.0.0.1,\(address)"
    // What a crash of the machine would lose is not tested here: the servers are killed, the machine is not. But
    // `sluice doctor` wants the ledger on a server that would survive it.
    return try await PrivatePostgres.start(
      .init(
        directory: directory, installation: try await PostgresInstallation.find(), port: try LoopbackPort.free(),
        settings: ["listen_addresses": places, "hba_file": rules], durable: durable))
  }

  /// As `LocalServers` writes them, and for the private network too.
  private static let accessRules = """
    local all all trust
    host all all 127.0.0.1/32 scram-sha-256
    host all all 10.77.0.0/16 scram-sha-256

    """

  private static func environment(_ directory: String, metadata: String, redis: String) -> [String: String] {
    Launch.bareEnvironment([
      "SLUICE_METADATA_URL": metadata, "SLUICE_REDIS_URL": redis, "SLUICE_SECRET_KEY_FILE": "\(directory)/secret.key",
      "SLUICE_PASSWORD": password, "SLUICE_LEASE_TTL": "\(leaseSeconds)s", "SLUICE_DRAIN_TIMEOUT": "5s",
      "SLUICE_LONGEST_PROBE": "2s", "SLUICE_BATCH_SIZE": "20", "SLUICE_LOG_FORMAT": "text", "SLUICE_LOG_LEVEL": "info",
    ])
  }

  func target(_ connection: String) -> PrivatePostgres {
    guard let target = targets[connection] else { preconditionFailure("there is no connection \(connection)") }
    return target
  }

  func target(of database: String) -> PrivatePostgres { target(Population.connection(of: database)) }

  /// The schedulers and workers, one of these behind the link.
  var roles: [SluiceProcesses.Role] {
    (Self.schedulers.map { ($0, "scheduler") } + Self.workers.map { ($0, "worker") }).map { name, word in
      let entrance = name == Self.farWorker ? network?.entrance ?? [] : []
      return .init(
        name: name, words: entrance + [command.executable, word], environment: command.environment,
        logFile: "\(directory)/\(name).log")
    }
  }
}
