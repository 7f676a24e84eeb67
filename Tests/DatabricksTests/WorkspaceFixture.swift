import Databricks
import Foundation
import HTTP
import LakebaseStandIn
import Platform
import Synchronization

/// A stand-in workspace with one instance of each kind, and clients of it; no PostgreSQL behind.
struct WorkspaceFixture {
  static let clientID = "6f9d0000-0000-4000-8000-000000000001"
  static let secret = Secret("dose-of-the-fixture")
  static let provisioned = InstanceReference.provisioned(name: "sales")
  static let endpoint = "projects/p/branches/main/endpoints/e"
  static let autoscaling = InstanceReference.autoscaling(endpoint: endpoint)
  static let tokenRoute = "POST /oidc/v1/token"
  static let mintRoute = "POST /api/2.0/database/credentials"

  let standIn: StandIn
  let http: HTTPClient
  let time = ManualTime()

  static func with<Value>(_ body: (WorkspaceFixture) async throws -> Value) async throws -> Value {
    let directory = FileManager.default.temporaryDirectory.appending(path: "workspace-\(UUID().uuidString)").path
    let upstream = StandIn.Upstream.loopback(port: 1)
    let configuration = StandIn.Configuration(
      directory: directory,
      instances: [
        .init(name: "sales", upstream: upstream), .init(name: endpoint, kind: .autoscaling, upstream: upstream),
      ],
      identities: [.init(name: clientID, secret: secret, kind: .servicePrincipal)])
    let standIn = try await StandIn.start(configuration)
    let fixture = WorkspaceFixture(
      standIn: standIn, http: HTTPClient(configuration: .init(caFile: standIn.caFile)))
    let result: Result<Value, any Error>
    do { result = .success(try await body(fixture)) } catch { result = .failure(error) }
    fixture.http.shutDown()
    await standIn.shutDown()
    try FileManager.default.removeItem(atPath: directory)
    return try result.get()
  }

  func workspace(secret: Secret = WorkspaceFixture.secret) -> Workspace {
    Workspace(
      .init(url: standIn.workspaceURL + "/", clientID: Self.clientID, clientSecret: secret), http: http,
      time: time.workspaceTime)
  }
}

/// The real clock with an offset; sleeping only moves the offset, and is remembered.
final class ManualTime: Sendable {
  private let state = Mutex((offset: Duration.zero, pauses: [Duration]()))

  var pauses: [Duration] { state.withLock { $0.pauses } }
  func advance(by duration: Duration) { state.withLock { $0.offset += duration } }

  var workspaceTime: WorkspaceTime {
    WorkspaceTime(
      now: { ContinuousClock.now.advanced(by: self.state.withLock { $0.offset }) }, date: { Date() },
      sleep: { pause in
        self.state.withLock { state in
          state.offset += pause
          state.pauses.append(pause)
        }
      }, jitter: { $0.upperBound })
  }
}
