import Foundation
import Hummingbird
import Platform

/// Routes of the stand-in itself, under `/stand-in/`, with which another process sets the stage for a test.
///
/// They ask for no credential: the stand-in listens on loopback and holds nothing worth one.
struct AdminRoutes: Sendable {
  let state: WorkspaceState
  let power: InstancePower

  func add(to router: Router<BasicRequestContext>) {
    router.get("/stand-in/counters") { _, _ in counters() }
    router.post("/stand-in/identities") { request, _ in try await addIdentity(request) }
    router.post("/stand-in/identities/:name/revoke") { _, context in
      state.revokeSecrets(of: try context.parameters.require("name"))
      return Response(status: .noContent)
    }
    router.post("/stand-in/faults") { request, _ in try await addFault(request) }
    router.delete("/stand-in/faults") { _, _ in
      state.removeFaults()
      return Response(status: .noContent)
    }
    router.post("/stand-in/settings") { request, _ in try await settings(request) }
    router.post("/stand-in/instance") { request, _ in try await changeInstance(request) }
  }

  private func counters() -> Response {
    Reply.json(
      .ok, state.counts.mapValues { ["calls": $0.calls, "most_at_once": $0.mostAtOnce] } as [String: [String: Int]])
  }

  /// Body: `name`, `secret`, `kind` (`USER`, `SERVICE_PRINCIPAL`, `GROUP`).
  private func addIdentity(_ request: Request) async throws -> Response {
    let fields = try await RequestBody.object(of: request)
    guard let name = fields["name"] as? String, let secret = fields["secret"] as? String else {
      return Reply.error(.badRequest, code: "BAD_REQUEST", "name and secret are needed")
    }
    let kind = (fields["kind"] as? String).flatMap(StandIn.Identity.Kind.init(rawValue:)) ?? .user
    state.add(.init(name: name, secret: Secret(secret), kind: kind))
    return Response(status: .noContent)
  }

  private func addFault(_ request: Request) async throws -> Response {
    let bytes = try await RequestBody.bytes(of: request)
    let fault: Fault
    do { fault = try JSONDecoder().decode(Fault.self, from: Data(buffer: bytes)) } catch {
      return Reply.error(.badRequest, code: "BAD_REQUEST", "a fault needs at least route and times")
    }
    state.add(fault)
    return Response(status: .noContent)
  }

  /// Body: `clock_offset_seconds`, `access_token_seconds`, `credential_seconds`, each optional.
  private func settings(_ request: Request) async throws -> Response {
    let fields = try await RequestBody.object(of: request)
    if let offset = fields["clock_offset_seconds"] as? Double { state.setClock(offset: offset) }
    state.setLifetimes(
      accessToken: (fields["access_token_seconds"] as? Int).map { .seconds($0) },
      credential: (fields["credential_seconds"] as? Int).map { .seconds($0) })
    return Response(status: .noContent)
  }

  /// Body: `name`, and of `stopped`, `state`, `disabled`, `start_delay_ms`, `wake_ms`, `connection_limit`,
  /// `refusal` (`denied`, `closed`, `startingUp`), `blocked_reason`, `proxy_error`, `omit_name` those to change.
  private func changeInstance(_ request: Request) async throws -> Response {
    let fields = try await RequestBody.object(of: request)
    guard let name = fields["name"] as? String, state.instance(named: name) != nil else {
      return Reply.noInstance(fields["name"] as? String ?? "")
    }
    let milliseconds = { (key: String) in (fields[key] as? Int).map { Duration.milliseconds($0) } }
    state.change(name) { record in
      record.state = fields["state"] as? String ?? record.state
      record.isDisabled = fields["disabled"] as? Bool ?? record.isDisabled
      record.startDelay = milliseconds("start_delay_ms") ?? record.startDelay
      record.wakeDelay = milliseconds("wake_ms") ?? record.wakeDelay
      record.connectionLimit = fields["connection_limit"] as? Int ?? record.connectionLimit
      record.refusal = (fields["refusal"] as? String).flatMap(InstanceRecord.Refusal.init(rawValue:)) ?? record.refusal
      record.omitsName = fields["omit_name"] as? Bool ?? record.omitsName
      if let reason = fields["blocked_reason"] { record.blockedReason = reason as? String }
      if let text = fields["proxy_error"] { record.proxyError = text as? String }
    }
    if let isStopped = fields["stopped"] as? Bool { isStopped ? power.stop(name) : power.start(name) }
    return Response(status: .noContent)
  }
}
