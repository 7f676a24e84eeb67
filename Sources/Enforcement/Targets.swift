import Databricks
import Logging
import Metadata
import Platform
import Postgres

/// Limits on every session that Sluice opens in a target.
package struct TargetLimits: Sendable {
  package var connectTimeout: Duration = .seconds(15)
  /// One statement of ours, as the server counts it.
  package var statementTimeout: Duration = .seconds(30)
  /// How much later our own deadline ends a statement: the server is to end it first, which keeps the session in step.
  package var statementMargin: Duration = .seconds(5)
  /// Waiting for a catalog row or for the lane's lock, before the batch gives up and comes again.
  package var lockTimeout: Duration = .seconds(2)
  /// About how long a transaction that grants may take: so long others wait for the rows that it changes.
  package var transactionTime: Duration = .milliseconds(250)
  /// After this a transaction that grants is given up, and does less the next time.
  package var longestTransaction: Duration = .seconds(60)
  /// So long a sweep asks for access that is not ours, holding the lane; what is not asked by then is counted.
  package var longestForeignLook: Duration = .seconds(5)
  /// After this the target itself ends a session whose worker is paused or cut off: the bound on how long a lost
  /// worker holds the lane's lock.
  package var idleInTransactionTimeout: Duration = .seconds(60)
  /// How long a session may rest between two batches; zero closes it after each. Less than the five seconds for which
  /// DROP DATABASE waits for sessions to go.
  package var longestRest: Duration = .seconds(3)

  package init() {}
}

/// Opens sessions in targets: tokens and credentials, classification of refusals, the session's limits.
package actor Targets {
  private let metadata: MetadataDatabase
  private let key: SealingKey
  private let workspaces: Workspaces
  private let caFile: String?
  package nonisolated let limits: TargetLimits
  private let logger: Logger
  private let resting: RestingSessions

  package init(
    metadata: MetadataDatabase, key: SealingKey, caFile: String?,
    limits: TargetLimits = TargetLimits(), logger: Logger
  ) {
    self.metadata = metadata
    self.key = key
    workspaces = Workspaces(caFile: caFile)
    self.caFile = caFile
    self.limits = limits
    self.logger = logger
    resting = RestingSessions(longest: limits.longestRest)
  }

  /// As `open`, but for a batch: one that rests there since the last is used again. Give it back after.
  func borrow(_ connection: Connection, database: String?) async throws -> PostgresConnection {
    let place = configuration(for: connection, database: database ?? connection.database)
    if let session = await resting.take(place, of: connection) { return session }
    do { return try await open(connection, database: database) } catch {
      if (error as? TargetError)?.disposition == .stopped { await resting.close(connection) }
      throw error
    }
  }

  nonisolated func giveBack(_ session: PostgresConnection, of connection: Connection) async {
    await resting.giveBack(session, of: connection)
  }

  /// A session in a database of the connection's target, with its limits set.
  package func open(
    _ connection: Connection, database: String? = nil
  ) async throws -> PostgresConnection {
    let secret = try await metadata.read { [key] in try await $0.secret(of: connection.id, key: key) }
    return try await open(connection, secret: secret, database: database)
  }

  /// As `open`, with a secret that is not stored yet (registration).
  package func open(
    _ connection: Connection, secret: Secret, database: String? = nil
  ) async throws -> PostgresConnection {
    var configuration = configuration(for: connection, database: database ?? connection.database)
    guard connection.kind == .lakebase else {
      configuration.password = secret
      do { return try await PostgresConnection.connect(configuration) } catch {
        throw Self.classify(error, state: nil, of: connection)
      }
    }
    return try await openLakebase(connection, secret, configuration)
  }

  /// Two tries at most: a refused token is replaced once, then the refusal is taken at its word.
  private func openLakebase(
    _ connection: Connection, _ secret: Secret, _ base: PostgresConfiguration
  ) async throws -> PostgresConnection {
    let workspace = await workspace(for: connection, secret)
    let instance = try Self.reference(connection)
    var configuration = base
    for attempt in 1...2 {
      let credential: DatabaseCredential
      do { credential = try await workspace.databaseCredential(for: instance) } catch {
        throw Self.classify(error)
      }
      configuration.password = credential.token
      do {
        return try await PostgresConnection.connect(configuration)
      } catch {
        let state = try await stateAfterRefusal(error, workspace, instance)
        let failure = Self.classify(error, state: state, of: connection)
        guard attempt == 1, failure.disposition == .unhealthy, Self.asksForNewToken(error, state: state) else {
          throw failure
        }
        await workspace.forgetCredential(for: instance, refused: credential)
        logger.info(
          "login refused; trying once more with a new credential", metadata: ["connection": "\(connection.name)"])
      }
    }
    preconditionFailure("the second attempt either returns or throws")
  }

  /// The instance's state as its API tells it; nil for plain PostgreSQL, which has none.
  package func instanceState(of connection: Connection) async throws -> InstanceState? {
    guard connection.kind == .lakebase else { return nil }
    let secret = try await metadata.read { [key] in try await $0.secret(of: connection.id, key: key) }
    return try await instanceState(of: connection, secret: secret)
  }

  package func instanceState(of connection: Connection, secret: Secret) async throws -> InstanceState? {
    guard connection.kind == .lakebase else { return nil }
    do {
      return try await workspace(for: connection, secret).state(of: try Self.reference(connection))
    } catch let error as DatabricksError { throw Self.classify(error) }
  }

  /// A database credential, for registration's checks.
  package func credential(for connection: Connection, secret: Secret) async throws {
    do {
      _ = try await workspace(for: connection, secret).databaseCredential(for: try Self.reference(connection))
    } catch let error as DatabricksError { throw Self.classify(error) }
  }

  private func workspace(for connection: Connection, _ secret: Secret) async -> Workspace {
    await workspaces.workspace(
      WorkspaceCredentials(
        url: connection.workspaceURL ?? "", clientID: connection.username, clientSecret: secret))
  }

  private static func reference(_ connection: Connection) throws -> InstanceReference {
    switch connection.instance {
    case .named(let name): .provisioned(name: name)
    case .endpoint(let endpoint): .autoscaling(endpoint: endpoint)
    case nil:
      throw TargetError(
        .unhealthy, "connection \(connection.name) names no instance",
        remedy: "register it with --instance or --endpoint")
    }
  }

  private func configuration(for connection: Connection, database: String) -> PostgresConfiguration {
    let tls: PostgresConfiguration.TLS =
      switch connection.tls {
      case .disable: .disable
      case .require: .require
      case .verifyFull: .verifyFull(caFile: caFile)
      }
    var configuration = PostgresConfiguration(
      host: connection.host, port: connection.port, database: database, user: connection.username, password: nil,
      tls: tls)
    configuration.hostAddress = connection.hostAddress
    configuration.connectTimeout = limits.connectTimeout
    configuration.statementTimeout = limits.statementTimeout + limits.statementMargin
    configuration.settings = [
      "lock_timeout": "\(limits.lockTimeout.wholeMilliseconds)",
      "statement_timeout": "\(limits.statementTimeout.wholeMilliseconds)",
      "idle_in_transaction_session_timeout": "\(limits.idleInTransactionTimeout.wholeMilliseconds)",
      // Names in statements are always qualified; nothing of the target's own may stand in their way.
      "search_path": "pg_catalog",
    ]
    return configuration
  }
}
