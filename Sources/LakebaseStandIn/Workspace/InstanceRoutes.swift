import Foundation
import Hummingbird
import Platform

/// Provisioned instances: look, stop, start, and credentials for them (LAKEBASE.md, b.1, 4 and 5).
struct InstanceRoutes: Sendable {
  let state: WorkspaceState
  let power: InstancePower

  func add(to router: Router<BasicRequestContext>) {
    router.get("/api/2.0/database/instances") { _, _ in list() }
    router.get("/api/2.0/database/instances:findByUid") { request, _ in find(request) }
    router.get("/api/2.0/database/instances/:name") { _, context in
      let name = try context.parameters.require("name")
      guard let record = provisioned(name) else { return Reply.noInstance(name) }
      return Reply.json(.ok, Self.object(record))
    }
    router.patch("/api/2.0/database/instances/:name") { request, context in
      try await update(context.parameters.require("name"), request)
    }
    router.post("/api/2.0/database/credentials") { request, _ in try await credential(request) }
  }

  private func provisioned(_ name: String) -> InstanceRecord? {
    let record = state.instance(named: name.removingPercentEncoding ?? name)
    return record?.instance.kind == .provisioned ? record : nil
  }

  private func list() -> Response {
    let records = state.instances.filter { $0.instance.kind == .provisioned }
    return Reply.json(.ok, ["database_instances": records.map(Self.object)])
  }

  private func find(_ request: Request) -> Response {
    let uid = request.uri.queryParameters["uid"].map(String.init) ?? ""
    guard let record = state.instance(uid: uid) else { return Reply.noInstance(uid) }
    return Reply.json(.ok, Self.object(record))
  }

  private func update(_ name: String, _ request: Request) async throws -> Response {
    let fields = try await RequestBody.object(of: request)
    guard let record = provisioned(name) else { return Reply.noInstance(name) }
    guard request.uri.queryParameters["update_mask"] == "stopped", let isStopped = fields["stopped"] as? Bool else {
      return Reply.error(
        .badRequest, code: "INVALID_PARAMETER_VALUE", "Field 'update_mask' must name 'stopped', and the body hold it")
    }
    if isStopped { power.stop(record.instance.name) } else { power.start(record.instance.name) }
    guard let changed = provisioned(name) else { return Reply.noInstance(name) }
    // `stopped` is echoed only where it was sent.
    return Reply.json(.ok, Self.object(changed).merging(["stopped": isStopped]) { _, new in new })
  }

  private func credential(_ request: Request) async throws -> Response {
    let names = try await RequestBody.object(of: request)["instance_names"] as? [String] ?? []
    guard !names.isEmpty else {
      return Reply.error(
        .badRequest, code: "INVALID_PARAMETER_VALUE", "At least one of instance_names or claims must be specified")
    }
    var uids: [String] = []
    for name in names {
      guard let record = provisioned(name) else { return Reply.noInstance(name) }
      uids.append(record.instance.uid)
    }
    guard let caller = Bearer.claims(of: request, state) else {
      return Reply.error(.forbidden, code: 403, "Invalid access token.")
    }
    let (issued, lifetime) = (state.date, state.credentialLifetime)
    let token = try state.mint.token(
      for: caller.sub, scope: Claims.databaseScope, instances: uids, issued: issued, lifetime: lifetime)
    return Reply.json(
      .ok,
      [
        "token": token.reveal(),
        "expiration_time": issued.addingTimeInterval(lifetime.inSeconds).formatted(.iso8601),
      ])
  }

  private static func object(_ record: InstanceRecord) -> [String: Any] {
    let instance = record.instance
    var object: [String: Any] = [
      "uid": instance.uid, "state": record.state, "capacity": "CU_1", "effective_capacity": "CU_1",
      "pg_version": "PG_VERSION_16", "read_write_dns": instance.databaseHost, "creator": "creator@example.com",
      "creation_time": "2026-01-01T00:00:00Z", "effective_stopped": record.state == InstanceRecord.stopped,
      "effective_enable_pg_native_login": false, "effective_enable_readable_secondaries": false,
      "effective_node_count": 1, "effective_retention_window_in_days": 7,
    ]
    if !record.omitsName { object["name"] = instance.name }
    return object
  }
}
