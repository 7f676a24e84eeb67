/// What a failure asks of the caller.
package enum Disposition: Sendable, Hashable {
  /// Only the instance's state can tell: ask the workspace, then follow `InstanceState.dispositionOfRefusedLogin`.
  case askInstance
  /// Try again after a backoff, and not before the time that the other side named.
  case soon(after: Duration?)
  /// Wait, without spending attempts, until the workspace says that the instance runs.
  case whenRunning
  /// Get a new credential and try once more; refused again, it is permanent.
  case reauthenticate
  /// Somebody has to change a network rule or a permission: look again at long intervals, such as an hour.
  case forbidden(remedy: String)
  case permanent(remedy: String)
}
