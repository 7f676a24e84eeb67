import Foundation
import Platform

/// An instance as it is at the moment.
struct InstanceRecord: Sendable {
  /// How the gateway turns connections away while the instance does not run.
  enum Refusal: String, Sendable, Codable {
    /// 28000 `External authorization failed.`
    case denied
    /// The connection is closed without a word.
    case closed
    /// 57P03 `the database system is starting up`
    case startingUp
  }

  static let available = "AVAILABLE"
  static let stopped = "STOPPED"
  static let starting = "STARTING"
  static let active = "ACTIVE"
  static let idle = "IDLE"

  let instance: StandIn.Instance
  /// In the words of the API of its kind.
  var state: String
  /// The state that follows by itself, and when.
  var next: (state: String, date: Date)?
  /// Autoscaling only.
  var isDisabled = false
  var startDelay: Duration = .zero
  var wakeDelay: Duration = .milliseconds(100)
  var connectionLimit = 1000
  var refusal = Refusal.denied
  /// Turns every connection away with this reason, whatever the state.
  var blockedReason: String?
  /// Autoscaling: an error text of the proxy, given to every connection.
  var proxyError: String?
  /// The API forgets to name the instance, as the real one does at times.
  var omitsName = false

  init(_ instance: StandIn.Instance) {
    self.instance = instance
    state = instance.kind == .provisioned ? Self.available : Self.active
  }

  /// Makes the state that was due by `date` the present one.
  mutating func settle(at date: Date) {
    guard let next, next.date <= date else { return }
    state = next.state
    self.next = nil
  }

  mutating func stop() {
    next = nil
    state = instance.kind == .provisioned ? Self.stopped : Self.idle
  }

  mutating func start(at date: Date) {
    isDisabled = false
    let up = instance.kind == .provisioned ? Self.available : Self.active
    guard state != up else { return }
    state = instance.kind == .provisioned ? Self.starting : "INIT"
    next = (up, date.addingTimeInterval(startDelay.inSeconds))
    settle(at: date)
  }
}
