import Platform

/// The step before PostgreSQL is spoken to: does the instance run, and may this address reach it?
struct Admission: Sendable {
  let state: WorkspaceState

  /// Returns when the connection may go on; a sleeping endpoint is woken, which takes its time.
  func admit(_ name: String) async throws {
    guard let record = state.instance(named: name) else { throw Refusal.externalAuthorization() }
    if let reason = record.blockedReason { throw Refusal.externalAuthorization(reason: reason) }
    switch record.instance.kind {
    case .provisioned: try admitProvisioned(record)
    case .autoscaling: try await admitAutoscaling(record)
    }
  }

  private func admitProvisioned(_ record: InstanceRecord) throws {
    guard record.state != InstanceRecord.available else { return }
    switch record.refusal {
    case .denied: throw Refusal.externalAuthorization()
    case .closed: throw Refusal.silent
    case .startingUp: throw Refusal.startingUp
    }
  }

  private func admitAutoscaling(_ record: InstanceRecord) async throws {
    if let text = record.proxyError { throw Refusal.proxy(text) }
    if record.isDisabled { throw Refusal.proxy("The endpoint has been disabled. Enable it using Neon API and retry.") }
    guard record.state == InstanceRecord.idle else { return }
    try await Task.sleep(for: record.wakeDelay)
    state.change(record.instance.name) { record in
      if record.state == InstanceRecord.idle { record.state = InstanceRecord.active }
    }
  }
}
