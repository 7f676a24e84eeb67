import Platform
import Redis

/// The keys of one shard. All carry the shard's hash tag, so that a Redis Cluster keeps them on one node.
struct ShardKeys: Sendable {
  let epoch: String
  /// The run of the server on which the epoch was established; no script's business.
  let run: String
  let rules: String
  let waiting, delayed, depths, late: String
  /// By class; the lists that a worker blocks on.
  let wake: [String]
  /// In the order in which `shard.lua` names them.
  let all: [String]

  /// The single keys, in the order in which `shard.lua` names them.
  static let singles = [
    "epoch", "sequence", "waiting", "lanes", "counts", "depths", "counters", "delayed", "lease", "leases",
    "work", "phase", "parked", "rules", "ready", "places", "virtual", "samples", "workers", "beats",
  ]

  init(prefix: String, shard: Int) {
    let tag = "{\(prefix):\(shard)}:"
    let classes = JobClass.allCases.map(\.rawValue)
    (epoch, run, rules) = (tag + "epoch", tag + "run", tag + "rules")
    (waiting, delayed) = (tag + "waiting", tag + "delayed")
    (depths, late) = (tag + "depths", tag + "late")
    wake = classes.map { tag + "wake:\($0)" }
    all = Self.singles.map { tag + $0 } + classes.map { tag + "turns:\($0)" } + wake + [late]
  }
}
