import Enforcement
import Metadata
import Platform

/// An instance with its databases: what was granted in them, and who holds the lock of each lane.
///
/// `@unchecked`: see `World`.
final class SimulatedTarget: Service, @unchecked Sendable {
  typealias Access = SimulatedLedger.Access
  /// The instance was stopped by its owner, and its API says so.
  private(set) var isStopped = false
  /// Nobody is connected: whoever connects wakes it.
  var isAsleep = false
  private(set) var wakeUps = 0
  private(set) var granted: Set<Access> = []
  /// The newest desired state from which a revoke of it was decided.
  private var revoked: [Access: Int] = [:]
  private(set) var commits = 0
  /// The desired state of the last commit, by lane.
  private var committed: [Int64: Int] = [:]
  private var locks: [Int64: TargetSession] = [:]
  private var sessions: [ObjectIdentifier: TargetSession] = [:]
  private let ledger: SimulatedLedger
  /// As `idle_in_transaction_session_timeout`.
  static let idleTimeout = Int.seconds(60)

  init(_ name: String, ledger: SimulatedLedger, in world: World) {
    self.ledger = ledger
    super.init(name, in: world)
  }

  func setStopped(_ isStopped: Bool) {
    self.isStopped = isStopped
    if isStopped { endAll() }
  }

  func restart() { endAll() }

  private func endAll() {
    for session in sessions.values { session.isOpen = false }
    (sessions, locks) = ([:], [:])
  }

  func connect(lane: Int64) throws(TargetError) -> TargetSession {
    if isStopped { throw TargetError(.stopped, "the instance is stopped", remedy: "start it") }
    if isAsleep { (isAsleep, wakeUps) = (false, wakeUps + 1) }
    let session = TargetSession(lane: lane)
    sessions[ObjectIdentifier(session)] = session
    return session
  }

  func end(_ session: TargetSession) {
    session.isOpen = false
    sessions[ObjectIdentifier(session)] = nil
    if locks[session.lane] === session { locks[session.lane] = nil }
  }

  private func use(_ session: TargetSession) throws(TargetError) {
    guard session.isOpen else { throw TargetError(.soon(after: nil), "the session has ended", remedy: "") }
    session.uses += 1
    let uses = session.uses
    world.after(Self.idleTimeout) { if session.isOpen, session.uses == uses { self.end(session) } }
  }

  func lock(_ session: TargetSession) throws(TargetError) -> Bool {
    try use(session)
    if locks[session.lane] == nil { locks[session.lane] = session }
    return locks[session.lane] === session
  }

  /// Makes what is granted equal to what is desired, by a desired state that was read at `version`.
  func commit(_ desired: [Access: Bool], readAt version: Int, in session: TargetSession) throws(TargetError) {
    try use(session)
    guard locks[session.lane] === session else {
      throw TargetError(.soon(after: nil), "the lock is gone", remedy: "")
    }
    if version < committed[session.lane] ?? 0 {
      world.violate("lane \(session.lane) was made equal to a desired state older than the one before")
    }
    committed[session.lane] = version
    commits += 1
    for (access, isDesired) in desired.sorted(by: { $0.key < $1.key }) {
      if isDesired {
        if granted.insert(access).inserted, version < revoked[access] ?? 0 {
          world.violate("\(access) came back after its revoke was applied")
        }
      } else {
        granted.remove(access)
        revoked[access] = max(revoked[access] ?? 0, version)
      }
      ledger.enforced[access] = max(ledger.enforced[access] ?? 0, version)
    }
    locks[session.lane] = nil
  }
}

/// `@unchecked`: see `World`.
final class TargetSession: @unchecked Sendable {
  let lane: Int64
  var isOpen = true
  var uses = 0

  init(lane: Int64) { self.lane = lane }
}
