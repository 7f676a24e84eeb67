import NIOCore
import Synchronization

/// All sessions that passed the gateway, by instance and by cancel key.
final class SessionRegistry: Sendable {
  private let sessions = Mutex<[CancelKey: GatewaySession]>([:])

  /// A place for one more session, or nil if the instance has `limit` of them.
  func open(_ instance: StandIn.Instance, limit: Int) -> GatewaySession? {
    sessions.withLock { sessions in
      guard sessions.values.count(where: { $0.instance.name == instance.name }) < limit else { return nil }
      var key = CancelKey.random()
      while sessions[key] != nil { key = .random() }
      let session = GatewaySession(instance: instance, key: key)
      sessions[key] = session
      return session
    }
  }

  func close(_ session: GatewaySession) { sessions.withLock { $0[session.key] = nil } }

  func session(of key: CancelKey) -> GatewaySession? { sessions.withLock { $0[key] } }

  func count(_ instance: String) -> Int {
    sessions.withLock { $0.values.count { $0.instance.name == instance } }
  }

  /// Ends all sessions of an instance as its stop does: an error between two messages, then the end.
  func cut(_ instance: String) {
    let affected = sessions.withLock { $0.values.filter { $0.instance.name == instance } }
    for session in affected { session.stop() }
  }
}

/// One session from login to end.
final class GatewaySession: Sendable {
  private struct State {
    var isStopping = false
    /// No message to the client has been passed on in part.
    var isBetweenMessages = true
    var upstreamKey: CancelKey?
    var upstream: (any Channel)?
  }

  let instance: StandIn.Instance
  /// What the client was given; the server's own key stays here.
  let key: CancelKey
  private let state = Mutex(State())

  init(instance: StandIn.Instance, key: CancelKey) {
    self.instance = instance
    self.key = key
  }

  var isStopping: Bool { state.withLock { $0.isStopping } }

  var upstreamKey: CancelKey? {
    get { state.withLock { $0.upstreamKey } }
    set { state.withLock { $0.upstreamKey = newValue } }
  }

  /// Names the connection to end on a stop; one that has been stopped already ends at once.
  func attach(_ upstream: any Channel) {
    let isStopping = state.withLock { state in
      state.upstream = upstream
      return state.isStopping
    }
    if isStopping { upstream.close(promise: nil) }
  }

  /// Notes whether the client has only whole messages; true if the session is to end.
  func passed(isBetweenMessages: Bool) -> Bool {
    state.withLock { state in
      state.isBetweenMessages = isBetweenMessages
      return state.isStopping
    }
  }

  /// In the middle of a message the relay itself ends the session, at the message's end.
  func stop() {
    let upstream = state.withLock { state in
      state.isStopping = true
      return state.isBetweenMessages ? state.upstream : nil
    }
    upstream?.close(promise: nil)
  }
}
