import Platform
import Redis

/// The keys of one shard. All carry the shard's hash tag, so that a Redis Cluster keeps them on one node.
struct ShardKeys: Sendable {
  let epoch: String
  /// Milliseconds that stand for the server's clock; only tests write it.
  let clock: String
  /// By class; the lists that a worker blocks on.
  let wake: [String]
  /// In the order in which `shard.lua` names them.
  let all: [String]

  init(prefix: String, shard: Int) {
    let tag = "{\(prefix):\(shard)}:"
    let classes = JobClass.allCases.map(\.rawValue)
    epoch = tag + "epoch"
    clock = tag + "clock"
    wake = classes.map { tag + "wake:\($0)" }
    let single = [
      "sequence", "clock", "waiting", "lanes", "counts", "counters", "delayed", "lease", "leases", "virtual", "phase",
      "parked", "paused",
    ]
    all = [epoch] + single.map { tag + $0 } + classes.map { tag + "ready:\($0)" } + wake
  }
}

/// The transitions. Each is one script, so each happens whole or not at all.
enum QueueScript {
  static let establish = RedisScript(name: "establish", source: text(PackageResources.establish_lua))
  static let enqueue = transition("enqueue", PackageResources.enqueue_lua)
  static let lease = transition("lease", PackageResources.lease_lua)
  static let settle = transition("settle", PackageResources.settle_lua)
  static let extend = transition("extend", PackageResources.extend_lua)
  static let park = transition("park", PackageResources.park_lua)
  static let wake = transition("wake", PackageResources.wake_lua)
  static let pause = transition("pause", PackageResources.pause_lua)
  static let remove = transition("remove", PackageResources.remove_lua)
  static let place = transition("place", PackageResources.place_lua)
  static let stats = transition("stats", PackageResources.stats_lua)

  static let all = [establish, enqueue, lease, settle, extend, park, wake, pause, remove, place, stats]

  /// A transition needs the shard's names and rules in front; line numbers in Lua errors count from there.
  private static func transition(_ name: String, _ bytes: [UInt8]) -> RedisScript {
    let front = [PackageResources.shard_lua, PackageResources.lane_lua, PackageResources.holding_lua]
    return RedisScript(name: name, source: front.map(text).joined() + text(bytes))
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
