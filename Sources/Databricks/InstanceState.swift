/// Whether an instance can be worked on.
package enum InstanceState: Sendable, Hashable, CustomStringConvertible {
  case running
  case stopped(detail: String)
  /// On its way up, or being changed; also a state that this version does not know.
  case starting(detail: String)
  /// Autoscaling: asleep; a connection wakes it.
  case idle
  /// Autoscaling: switched off; a connection does not wake it.
  case disabled
  case deleting

  package var isConnectable: Bool { self == .running || self == .idle }

  /// What to do after the gateway refused a login as it does for a stopped instance (LAKEBASE.md, rows 10 to 13).
  package var dispositionOfRefusedLogin: Disposition {
    switch self {
    case .running: .reauthenticate
    case .idle: .soon(after: nil)
    case .stopped, .starting, .disabled: .whenRunning
    case .deleting: .permanent(remedy: "the instance is being deleted: remove its connection from Sluice")
    }
  }

  package var description: String {
    switch self {
    case .running: "running"
    case .stopped(let detail): "stopped (\(detail))"
    case .starting(let detail): "starting (\(detail))"
    case .idle: "idle"
    case .disabled: "disabled"
    case .deleting: "deleting"
    }
  }
}

/// An instance as the workspace describes it.
package struct InstanceDescription: Sendable, Hashable {
  package let state: InstanceState
  /// Host name for reading and writing; nil while the instance has none.
  package let host: String?
  package let uid: String?
}
