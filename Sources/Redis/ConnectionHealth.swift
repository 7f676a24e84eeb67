import Synchronization

/// Whether a connection has failed, as its event loop tells everybody else.
final class ConnectionHealth: Sendable {
  private let failed = Atomic(false)

  var hasFailed: Bool { failed.load(ordering: .acquiring) }

  func fail() { failed.store(true, ordering: .releasing) }
}
