import Logging
import NIOPosix
import Platform

/// A Databricks workspace with Lakebase instances, in this process: the REST API over HTTPS, and the gateway with
/// TLS and OAuth logins in front of real PostgreSQL servers.
///
/// For `sluice dev` and for tests. It behaves as LAKEBASE.md says the real ones do; its own switches are routes under
/// `/stand-in/` and the methods here. Unlike the real workspace, it lets a user sign in with a secret too.
package struct StandIn: Sendable {
  /// Base of the REST API.
  package let workspaceURL: String
  package let gatewayPort: Int
  /// Authority that signed the certificates of both.
  package let caFile: String

  private let state: WorkspaceState
  private let power: InstancePower
  private let workspace: WorkspaceServer
  private let gateway: Gateway

  /// Returns when both listen. The real servers need not run yet.
  package static func start(
    _ configuration: Configuration, logger: Logger = Logger(label: "sluice.lakebase-stand-in")
  ) async throws -> StandIn {
    let certificates = try await Certificates.prepare(
      in: configuration.directory, hosts: configuration.instances.map(\.databaseHost))
    let state = WorkspaceState(configuration)
    let sessions = SessionRegistry()
    let power = InstancePower(state: state, sessions: sessions)
    let connections = ConnectionService(
      state: state, sessions: sessions, connector: UpstreamConnector(group: MultiThreadedEventLoopGroup.singleton),
      login: LoginCheck(state: state), loginTimeout: configuration.loginTimeout, logger: logger)
    let gateway = try await Gateway.start(connections, certificates: certificates, port: configuration.gatewayPort)
    do {
      let workspace = try await WorkspaceServer.start(
        state: state, power: power, certificates: certificates, port: configuration.workspacePort, logger: logger)
      return StandIn(
        workspaceURL: "https://localhost:\(workspace.port)", gatewayPort: gateway.port, caFile: certificates.caFile,
        state: state, power: power, workspace: workspace, gateway: gateway)
    } catch {
      await gateway.shutDown()
      throw error
    }
  }

  package func shutDown() async {
    for record in state.instances { power.sessions.cut(record.instance.name) }
    await gateway.shutDown()
    await workspace.shutDown()
  }

  // MARK: Instances

  /// Stops a provisioned instance, puts an autoscaling one to sleep; its sessions end with 57P01.
  package func stopInstance(_ name: String) { power.stop(name) }
  package func startInstance(_ name: String) { power.start(name) }

  /// How long an instance is `STARTING`.
  package func setStartDelay(_ delay: Duration, of name: String) { state.change(name) { $0.startDelay = delay } }
  /// How long a connection to a sleeping endpoint takes.
  package func setWakeDelay(_ delay: Duration, of name: String) { state.change(name) { $0.wakeDelay = delay } }
  package func setDisabled(_ isDisabled: Bool, endpoint name: String) {
    state.change(name) { $0.isDisabled = isDisabled }
  }
  /// Turns all connections away as an IP access list does; nil lets them in again.
  package func block(_ name: String, reason: String?) { state.change(name) { $0.blockedReason = reason } }
  package func setConnectionLimit(_ limit: Int, of name: String) { state.change(name) { $0.connectionLimit = limit } }
  /// Any state word of the API, such as `FAILING_OVER`; the gateway admits only `AVAILABLE`.
  package func setState(_ word: String, of name: String) { state.change(name) { $0.state = word } }
  /// Sessions that have logged in.
  package func sessionCount(_ name: String) -> Int { power.sessions.count(name) }

  // MARK: Workspace

  package func add(_ identity: Identity) { state.add(identity) }
  package func revokeSecrets(of identity: String) { state.revokeSecrets(of: identity) }
  package func add(_ fault: Fault) { state.add(fault) }
  package func removeFaults() { state.removeFaults() }
  package func setLifetimes(accessToken: Duration? = nil, credential: Duration? = nil) {
    state.setLifetimes(accessToken: accessToken, credential: credential)
  }
  /// Sets the workspace's clock wrong by some seconds; tokens issued before may expire by it.
  package func setClock(offsetSeconds: Double) { state.setClock(offset: offsetSeconds) }

  /// Calls of all routes that begin with `route` (`METHOD /path`), together; the largest number at the same time.
  package func count(of route: String) -> RouteCount {
    state.counts.filter { $0.key.hasPrefix(route) }.values.reduce(into: RouteCount()) { total, count in
      total.calls += count.calls
      total.mostAtOnce = max(total.mostAtOnce, count.mostAtOnce)
    }
  }
}
