import Redis

/// The transitions. Each is one script, so each happens whole or not at all.
package struct QueueScripts: Sendable {
  package enum Name: String, CaseIterable, Sendable {
    case establish, enqueue, lease, settle, extend, park, wake, cancel, rules
    case settleAndLease = "settle_and_lease"
    case `where`, stats, lanes, jobs, depths, inspect, balance, beat, workers
  }

  private let scripts: [Name: RedisScript]

  /// As embedded in the binary.
  package static let embedded = QueueScripts { $1 }

  /// - Parameter edit: Given a file's name without its ending, and its text; returns the text to use. The identity but
  ///   for tests that break a rule to see that it is missed.
  package init(edit: (String, String) -> String) {
    func text(_ file: String, _ bytes: [UInt8]) -> String { edit(file, String(decoding: bytes, as: UTF8.self)) }
    /// A script's body as a function that another calls.
    func function(_ file: String, _ bytes: [UInt8]) -> String {
      "local function \(file)(ARGV)\n\(text(file, bytes))end\n"
    }
    // A transition needs the shard's names and rules in front; line numbers in Lua errors count from there.
    let rules = [
      text("shard", PackageResources.shard_lua), text("tokens", PackageResources.tokens_lua),
      text("lane", PackageResources.lane_lua), text("waiting", PackageResources.waiting_lua),
      text("holding", PackageResources.holding_lua),
    ].joined()
    let due = text("due", PackageResources.due_lua)
    scripts = Dictionary(
      uniqueKeysWithValues: Name.allCases.map { name in
        let body = text(name.rawValue, Self.bytes(of: name))
        let front =
          switch name {
          case .establish: ""
          case .lease: rules + due
          case .settleAndLease:
            rules + due + function("settle", PackageResources.settle_lua)
              + function("lease", PackageResources.lease_lua)
          default: rules
          }
        return (name, RedisScript(name: name.rawValue, source: front + body))
      })
  }

  subscript(name: Name) -> RedisScript {
    guard let script = scripts[name] else { preconditionFailure("every transition has its script") }
    return script
  }

  private static func bytes(of name: Name) -> [UInt8] {
    switch name {
    case .establish: PackageResources.establish_lua
    case .enqueue: PackageResources.enqueue_lua
    case .lease: PackageResources.lease_lua
    case .settle: PackageResources.settle_lua
    case .settleAndLease: PackageResources.settle_and_lease_lua
    case .extend: PackageResources.extend_lua
    case .park: PackageResources.park_lua
    case .wake: PackageResources.wake_lua
    case .cancel: PackageResources.cancel_lua
    case .rules: PackageResources.rules_lua
    case .where: PackageResources.where_lua
    case .stats: PackageResources.stats_lua
    case .lanes: PackageResources.lanes_lua
    case .jobs: PackageResources.jobs_lua
    case .depths: PackageResources.depths_lua
    case .inspect: PackageResources.inspect_lua
    case .balance: PackageResources.balance_lua
    case .beat: PackageResources.beat_lua
    case .workers: PackageResources.workers_lua
    }
  }
}
