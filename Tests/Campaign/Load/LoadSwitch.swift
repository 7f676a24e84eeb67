import Synchronization

/// Tells producers to end after what they are doing: a request that is cut short leaves open what was asked for.
final class LoadSwitch: Sendable {
  private let off = Mutex(false)

  var isOn: Bool { off.withLock { !$0 } }
  func turnOff() { off.withLock { $0 = true } }
}
