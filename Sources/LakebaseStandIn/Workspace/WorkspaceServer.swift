import Hummingbird
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL

/// The workspace's REST API over HTTPS on loopback.
struct WorkspaceServer: Sendable {
  let port: Int
  private let running: Task<Void, any Error>

  static func start(
    state: WorkspaceState, power: InstancePower, certificates: Certificates, port: Int, logger: Logger
  ) async throws -> WorkspaceServer {
    let router = Router()
    router.add(middleware: FaultMiddleware(state: state))
    router.add(middleware: BearerMiddleware(state: state))
    TokenRoutes(state: state).add(to: router)
    InstanceRoutes(state: state, power: power).add(to: router)
    EndpointRoutes(state: state, power: power).add(to: router)
    AdminRoutes(state: state, power: power).add(to: router)
    let tls = TLSConfiguration.makeServerConfiguration(
      certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.certificateFile).map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.keyFile, format: .pem)))
    // Hummingbird reports its own end by cancellation as an error of every open connection.
    var logger = logger
    logger.logLevel = .critical
    let (ports, listening) = AsyncStream<Int>.makeStream()
    let application = Application(
      router: router, server: try .tls(tlsConfiguration: tls),
      configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: "databricks"),
      onServerRunning: { channel in listening.yield(channel.localAddress?.port ?? 0) }, logger: logger)
    // Outlives this call: it serves until `shutDown` cancels it.
    let running = Task {
      defer { listening.finish() }
      try await application.run()
    }
    guard let port = await ports.first(where: { _ in true }) else {
      try await running.value
      throw StandInError(code: .listening, message: "the workspace did not begin to listen on port \(port)")
    }
    return WorkspaceServer(port: port, running: running)
  }

  func shutDown() async {
    running.cancel()
    _ = await running.result
  }
}
