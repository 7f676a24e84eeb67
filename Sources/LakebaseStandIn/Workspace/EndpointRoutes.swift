import Foundation
import Hummingbird
import Platform

/// Autoscaling endpoints: look, disable, suspend, and credentials for them (LAKEBASE.md, b.1, 6).
struct EndpointRoutes: Sendable {
  let state: WorkspaceState
  let power: InstancePower

  /// Bounds of a credential's life, in seconds.
  private static let lifetimes = 300...3600

  func add(to router: Router<BasicRequestContext>) {
    let path: RouterPath = "/api/2.0/postgres/projects/:project/branches/:branch/endpoints/:endpoint"
    router.get(path) { _, context in
      guard let record = try endpoint(context) else { return Reply.noEndpoint() }
      return Reply.json(.ok, Self.object(record))
    }
    router.patch(path) { request, context in try await update(request, context) }
    router.post("/api/2.0/postgres/credentials") { request, _ in try await credential(request) }
  }

  private func endpoint(_ context: BasicRequestContext) throws -> InstanceRecord? {
    let project = try context.parameters.require("project")
    let branch = try context.parameters.require("branch")
    let endpoint = try context.parameters.require("endpoint")
    return autoscaling("projects/\(project)/branches/\(branch)/endpoints/\(endpoint)")
  }

  private func autoscaling(_ name: String) -> InstanceRecord? {
    let record = state.instance(named: name)
    return record?.instance.kind == .autoscaling ? record : nil
  }

  private func update(_ request: Request, _ context: BasicRequestContext) async throws -> Response {
    guard let record = try endpoint(context) else { return Reply.noEndpoint() }
    let spec = try await RequestBody.object(of: request)["spec"] as? [String: Any]
    guard let isDisabled = spec?["disabled"] as? Bool else {
      return Reply.error(.badRequest, code: "INVALID_PARAMETER_VALUE", "Field 'spec.disabled' is required")
    }
    power.stop(record.instance.name)
    state.change(record.instance.name) { $0.isDisabled = isDisabled }
    guard let changed = try endpoint(context) else { return Reply.noEndpoint() }
    return Reply.json(.ok, ["name": "operations/1", "done": true, "response": Self.object(changed)] as [String: Any])
  }

  private func credential(_ request: Request) async throws -> Response {
    let fields = try await RequestBody.object(of: request)
    guard let name = fields["endpoint"] as? String, autoscaling(name) != nil else { return Reply.noEndpoint() }
    let asked = (fields["ttl"] as? String).flatMap { $0.hasSuffix("s") ? Int($0.dropLast()) : nil }
    if fields["ttl"] != nil, asked.map(Self.lifetimes.contains) != true {
      return Reply.error(.badRequest, code: "INVALID_PARAMETER_VALUE", "Field 'ttl' must be between 300s and 3600s")
    }
    guard let caller = Bearer.claims(of: request, state) else {
      return Reply.error(.forbidden, code: 403, "Invalid access token.")
    }
    let issued = state.date
    let lifetime = asked.map { Duration.seconds($0) } ?? state.credentialLifetime
    let subject = fields["group_name"] as? String ?? caller.sub
    let token = try state.mint.token(
      for: subject, scope: Claims.databaseScope, instances: [Claims.anyInstance], issued: issued, lifetime: lifetime)
    return Reply.json(
      .ok,
      ["token": token.reveal(), "expire_time": issued.addingTimeInterval(lifetime.inSeconds).formatted(.iso8601)])
  }

  private static func object(_ record: InstanceRecord) -> [String: Any] {
    [
      "name": record.instance.name, "uid": "ep-\(record.instance.uid)",
      "status": [
        "current_state": record.state, "disabled": record.isDisabled, "endpoint_type": "ENDPOINT_TYPE_READ_WRITE",
        "hosts": ["host": record.instance.databaseHost],
      ] as [String: Any],
    ]
  }
}
