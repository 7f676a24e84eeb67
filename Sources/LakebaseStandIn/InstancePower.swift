/// Stops and starts instances: the state that the API tells, and the sessions that the gateway holds.
struct InstancePower: Sendable {
  let state: WorkspaceState
  let sessions: SessionRegistry

  /// A provisioned instance is stopped, an autoscaling one falls asleep; either way its sessions end.
  func stop(_ name: String) {
    state.change(name) { $0.stop() }
    sessions.cut(name)
  }

  func start(_ name: String) {
    let date = state.date
    state.change(name) { $0.start(at: date) }
  }
}
