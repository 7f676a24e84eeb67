import Databricks
import Foundation
import HTTP
import LakebaseStandIn
import LocalServers
import Platform
import Postgres

/// One PostgreSQL for all tests, made to look like a Lakebase instance; it ends with the process.
actor SharedServer {
  static let shared = SharedServer()
  private var starting: Task<PrivatePostgres, any Error>?

  func instance(_ name: String, kind: StandIn.Instance.Kind) async throws -> StandIn.Instance {
    let task = starting ?? Task { try await Self.start() }
    starting = task
    let server = try await task.value
    return Self.instance(name, kind, of: server)
  }

  private static let prefix = "sluice-gateway-tests-"

  /// The server ends with its process, its files do not: those of earlier test runs go here.
  private static func removeLeftovers() throws {
    let files = FileManager.default
    let temporary = files.temporaryDirectory
    for name in try files.contentsOfDirectory(atPath: temporary.path) where name.hasPrefix(prefix) {
      guard let pid = Int(name.dropFirst(prefix.count)), !files.fileExists(atPath: "/proc/\(pid)") else { continue }
      try files.removeItem(at: temporary.appending(path: name))
    }
  }

  private static func start() async throws -> PrivatePostgres {
    try removeLeftovers()
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "\(prefix)\(ProcessInfo.processInfo.processIdentifier)").path
    let options = PrivatePostgres.Options(
      directory: directory, installation: try await .find(), superuser: "cloud_admin", durable: false)
    let server = try await PrivatePostgres.start(options)
    let bootstrap = Bootstrap(instance("bootstrap", .provisioned, of: server))
    try await bootstrap.run(identities: [GatewayFixture.worker])
    try await bootstrap.addMenagerie()
    return server
  }

  private static func instance(
    _ name: String, _ kind: StandIn.Instance.Kind, of server: PrivatePostgres
  ) -> StandIn.Instance {
    .init(name: name, kind: kind, upstream: .socket(directory: server.socketDirectory, port: server.port))
  }
}

/// A stand-in with one instance in front of the shared server.
struct GatewayFixture {
  static let worker = StandIn.Identity(
    name: "6f9d0000-0000-4000-8000-000000000001", secret: Secret("dose-worker"), kind: .servicePrincipal)
  static let name = "sales"
  static let endpoint = "projects/p/branches/main/endpoints/e"

  let standIn: StandIn
  let instance: StandIn.Instance
  let http: HTTPClient

  var reference: InstanceReference {
    instance.kind == .provisioned ? .provisioned(name: instance.name) : .autoscaling(endpoint: instance.name)
  }

  static func with<Value>(
    kind: StandIn.Instance.Kind = .provisioned, loginTimeout: Duration = .seconds(15),
    _ body: (GatewayFixture) async throws -> Value
  ) async throws -> Value {
    let instance = try await SharedServer.shared.instance(kind == .provisioned ? name : endpoint, kind: kind)
    let directory = FileManager.default.temporaryDirectory.appending(path: "stand-in-\(UUID().uuidString)").path
    var configuration = StandIn.Configuration(
      directory: directory, instances: [instance], identities: [worker])
    configuration.loginTimeout = loginTimeout
    let standIn = try await StandIn.start(configuration)
    let fixture = GatewayFixture(
      standIn: standIn, instance: instance, http: HTTPClient(configuration: .init(caFile: standIn.caFile)))
    let result: Result<Value, any Error>
    do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
    fixture.http.shutDown()
    await standIn.shutDown()
    try FileManager.default.removeItem(atPath: directory)
    return try result.get()
  }

  func workspace(_ identity: StandIn.Identity = worker) -> Workspace {
    Workspace(
      .init(url: standIn.workspaceURL, clientID: identity.name, clientSecret: identity.secret), http: http)
  }

  func token(_ identity: StandIn.Identity = worker) async throws -> Secret {
    try await workspace(identity).databaseCredential(for: reference).token
  }

  func configuration(user: String = worker.name, password: Secret, database: String = Bootstrap.database)
    -> PostgresConfiguration
  {
    PostgresConfiguration(
      host: instance.databaseHost, port: standIn.gatewayPort, database: database, user: user, password: password,
      tls: .verifyFull(caFile: standIn.caFile))
  }

  func connect(_ identity: StandIn.Identity = worker) async throws -> PostgresConnection {
    try await .connect(configuration(user: identity.name, password: token(identity)))
  }

  /// A user with a name of its own and a role bound to it.
  func addUser() async throws -> StandIn.Identity {
    let user = StandIn.Identity(
      name: "\(UUID().uuidString.lowercased())@example.com", secret: Secret("dose-user"), kind: .user)
    standIn.add(user)
    try await administer { _ = try await $0.query("SELECT databricks_create_role($1, 'USER')", [.text(user.name)]) }
    return user
  }

  /// Runs on the real server, past the gateway, as its superuser.
  func administer<Value: Sendable>(
    database: String = Bootstrap.database, _ body: (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    guard case .socket(let directory, let port) = instance.upstream else { preconditionFailure("not on a socket") }
    let connection = try await PostgresConnection.connect(
      PostgresConfiguration(
        host: directory, port: port, database: database, user: "cloud_admin", password: nil, tls: .disable))
    let result: Result<Value, any Error>
    do { result = .success(try await body(connection)) } catch { result = .failure(error) }
    await connection.close()
    return try result.get()
  }
}

/// The error that the server side gave, or nil if there was none.
func refusal(_ body: () async throws -> Void) async -> PostgresError? {
  do {
    try await body()
    return nil
  } catch { return error as? PostgresError }
}
