import JobQueue
import Redis

/// All that Redis keeps of a shard, as sorted lines: the model writes the same lines, so a difference reads as a diff.
enum QueueSnapshot {
  static func lines(of client: RedisClient) async throws -> [String] {
    let names = [
      "waiting", "delayed", "lanes", "counts", "counters", "lease", "leases", "phase", "parked", "paused", "ready:0",
      "ready:1", "ready:2",
    ]
    let reply = try await client.eval(script, keys: names.map { "{sluice:0}:" + $0 }, arguments: names)
    return try reply.requireArray().compactMap(\.text).sorted()
  }

  /// Reads every key whole, and decodes the leases.
  private static let script = RedisScript(
    name: "snapshot",
    source: """
      local lines = {}
      for index, key in ipairs(KEYS) do
        local name, kind = ARGV[index], redis.call('TYPE', key).ok
        local scored = name == 'delayed' or name == 'leases' or name == 'parked'
        local values = kind == 'zset' and redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
          or kind == 'hash' and redis.call('HGETALL', key) or kind == 'set' and redis.call('SMEMBERS', key) or {}
        for at = 1, #values, kind == 'set' and 1 or 2 do
          local value = kind ~= 'set' and (kind == 'hash' or scored) and ' ' .. values[at + 1] or ''
          if name == 'lease' then
            local lease = cmsgpack.unpack(values[at + 1])
            value = ' ' .. lease.epoch .. '.' .. lease.sequence .. ' ' .. lease.worker .. ' '
              .. table.concat(lease.jobs, ',')
          end
          if name ~= 'counters' or value ~= ' 0' then lines[#lines + 1] = name .. ' ' .. values[at] .. value end
        end
      end
      return lines
      """)
}

extension QueueModel {
  var lines: [String] {
    var lines = waiting.map { "waiting \($0.member)" } + delayed.map { "delayed \($0.key.member) \($0.value)" }
    for (lane, depth) in Dictionary(grouping: waiting, by: \.lane).mapValues(\.count) {
      lines += ["lanes \(lane)", "counts \(lane) \(depth)"]
    }
    for (lane, held) in leases {
      let jobs = held.jobs.map(\.text).joined(separator: ",")
      lines += ["lease \(lane) \(held.fence) \(held.worker) \(jobs)", "leases \(lane) \(held.expires)"]
    }
    for (connection, phase) in phases { lines += phaseLines(connection, phase) }
    lines += pausedLanes.map { "paused \($0)" } + (isPaused ? ["paused *"] : [])
    lines += ready.map { "ready:\($0.value.rawValue) \($0.key)" }
    return (lines + counterLines).sorted()
  }

  private func phaseLines(_ connection: Int64, _ phase: Phase) -> [String] {
    let name = LaneID(connection: connection, lane: 0).description.prefix(10)
    return switch phase {
    case .parked(let until): ["phase \(name) parked", "parked \(name) \(until)"]
    case .half: ["phase \(name) half"]
    case .probing(let lane): ["phase \(name) \(lane)"]
    }
  }

  private var counterLines: [String] {
    var counters = totals
    for job in waiting { counters["waiting:\(job.jobClass.rawValue)", default: 0] += 1 }
    counters["leased"] = leases.values.reduce(0) { $0 + $1.jobs.count }
    return counters.filter { $0.value != 0 }.map { "counters \($0.key) \($0.value)" }
  }
}
