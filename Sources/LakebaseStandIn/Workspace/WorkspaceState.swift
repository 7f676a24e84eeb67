import Foundation
import Platform
import Synchronization

/// Everything the workspace knows, shared by the API and the gateway.
final class WorkspaceState: Sendable {
  typealias Identity = StandIn.Identity

  private struct Contents {
    var identities: [String: Identity] = [:]
    var secrets: [String: Set<Secret>] = [:]
    var instances: [String: InstanceRecord] = [:]
    var faults: [Fault] = []
    var counts: [String: RouteCount] = [:]
    var clockOffset: TimeInterval = 0
    var accessTokenLifetime: Duration
    var credentialLifetime: Duration
  }

  let mint = TokenMint()
  private let contents: Mutex<Contents>

  init(_ configuration: StandIn.Configuration) {
    var contents = Contents(
      accessTokenLifetime: configuration.accessTokenLifetime, credentialLifetime: configuration.credentialLifetime)
    for instance in configuration.instances { contents.instances[instance.name] = InstanceRecord(instance) }
    self.contents = Mutex(contents)
    for identity in configuration.identities { add(identity) }
  }

  /// The workspace's own clock, which may be set wrong.
  var date: Date { Date().addingTimeInterval(contents.withLock { $0.clockOffset }) }
  var accessTokenLifetime: Duration { contents.withLock { $0.accessTokenLifetime } }
  var credentialLifetime: Duration { contents.withLock { $0.credentialLifetime } }

  func setClock(offset: TimeInterval) { contents.withLock { $0.clockOffset = offset } }

  func setLifetimes(accessToken: Duration?, credential: Duration?) {
    contents.withLock { contents in
      contents.accessTokenLifetime = accessToken ?? contents.accessTokenLifetime
      contents.credentialLifetime = credential ?? contents.credentialLifetime
    }
  }

  // MARK: Identities

  func add(_ identity: Identity) {
    contents.withLock { contents in
      contents.identities[identity.name] = identity
      contents.secrets[identity.name, default: []].insert(identity.secret)
    }
  }

  /// Makes all secrets of the identity invalid.
  func revokeSecrets(of name: String) { contents.withLock { $0.secrets[name] = [] } }

  func accepts(name: String, secret: Secret) -> Bool {
    contents.withLock { $0.secrets[name]?.contains(secret) ?? false }
  }

  // MARK: Instances

  var instances: [InstanceRecord] {
    let date = date
    return contents.withLock { contents in
      contents.instances.values.sorted { $0.instance.name < $1.instance.name }.map { record in
        var record = record
        record.settle(at: date)
        return record
      }
    }
  }

  func instance(named name: String) -> InstanceRecord? { instances.first { $0.instance.name == name } }
  func instance(host: String) -> InstanceRecord? { instances.first { $0.instance.databaseHost == host.lowercased() } }
  func instance(uid: String) -> InstanceRecord? { instances.first { $0.instance.uid == uid } }

  /// Changes an instance; nil if there is none of the name.
  @discardableResult
  func change(_ name: String, _ change: (inout InstanceRecord) -> Void) -> InstanceRecord? {
    let date = date
    return contents.withLock { contents in
      contents.instances[name]?.settle(at: date)
      guard var record = contents.instances[name] else { return nil }
      change(&record)
      contents.instances[name] = record
      return record
    }
  }

  // MARK: Faults and counts

  func add(_ fault: Fault) { contents.withLock { $0.faults.append(fault) } }
  func removeFaults() { contents.withLock { $0.faults = [] } }

  /// Counts a call as begun and says what is to go wrong with it.
  func begin(_ route: String) -> Fault? {
    contents.withLock { contents in
      contents.counts[route, default: RouteCount()].begin()
      guard let index = contents.faults.firstIndex(where: { route.hasPrefix($0.route) && $0.times > 0 }) else {
        return nil
      }
      contents.faults[index].times -= 1
      return contents.faults[index]
    }
  }

  func end(_ route: String) { contents.withLock { $0.counts[route]?.underWay -= 1 } }

  var counts: [String: RouteCount] { contents.withLock { $0.counts } }
}

extension RouteCount {
  fileprivate mutating func begin() {
    calls += 1
    underWay += 1
    mostAtOnce = max(mostAtOnce, underWay)
  }
}
