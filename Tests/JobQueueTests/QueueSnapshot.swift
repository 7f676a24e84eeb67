import JobQueue
import QueueModelKit
import Redis

/// All that Redis keeps of a shard, as sorted lines: the model writes the same lines, so a difference reads as a diff.
enum QueueSnapshot {
  static func lines(of client: RedisClient) async throws -> [String] {
    let names = [
      "waiting", "delayed", "lanes", "counts", "depths", "late", "counters", "lease", "leases", "work", "phase",
      "parked",
      "rules", "ready", "places", "virtual", "turns:0", "turns:1", "turns:2",
      "wake:0", "wake:1", "wake:2", "samples", "workers", "beats",
    ]
    let reply = try await client.eval(script, keys: names.map { "{sluice:0}:" + $0 }, arguments: names)
    return try reply.requireArray().compactMap(\.text).sorted()
  }

  /// Reads every key whole, and decodes the leases.
  private static let script = RedisScript(
    name: "snapshot",
    source: """
      local lines = {}
      local scored = {delayed = true, leases = true, parked = true, workers = true, ['turns:0'] = true, ['turns:1'] = true,
        ['turns:2'] = true}
      for index, key in ipairs(KEYS) do
        local name, kind = ARGV[index], redis.call('TYPE', key).ok
        local values = kind == 'zset' and redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
          or kind == 'hash' and redis.call('HGETALL', key) or {}
        for at = 1, #values, 2 do
          local value = (kind == 'hash' and name ~= 'beats' or scored[name]) and ' ' .. values[at + 1] or ''
          if name == 'lease' then
            local lease = cmsgpack.unpack(values[at + 1])
            value = ' ' .. lease.epoch .. '.' .. lease.sequence .. ' ' .. lease.worker .. ' '
              .. table.concat(lease.jobs, ',')
          end
          if name ~= 'counters' or value ~= ' 0' then lines[#lines + 1] = name .. ' ' .. values[at] .. value end
        end
        if kind == 'list' and name ~= 'samples' then lines[#lines + 1] = name .. ' ' .. redis.call('LLEN', key) end
        for at, packed in ipairs(name == 'samples' and redis.call('LRANGE', key, 0, -1) or {}) do
          local sample = cmsgpack.unpack(packed)
          for index = 1, 6 do sample[index] = ('%d'):format(sample[index] or 0) end
          lines[#lines + 1] = 'samples ' .. at .. ': ' .. table.concat(sample, ',')
        end
      end
      return lines
      """)
}

private func connectionText(_ connection: Int64) -> String {
  String(LaneID(connection: connection, lane: 0).description.prefix(10))
}

private func laneText(_ lane: LaneID) -> String { String(lane.description.suffix(10)) }

extension QueueModel {
  var lines: [String] {
    var lines = waiting.map { "waiting \(laneText($0.lane))\($0.text)" }
    lines += delayed.map { "delayed \($0.key.lane)\($0.key.text) \($0.value)" }
    for (lane, depth) in Dictionary(grouping: waiting, by: \.lane).mapValues(\.count) {
      lines += ["lanes \(lane)", "counts \(lane) \(depth)"]
    }
    for (connection, depth) in Dictionary(grouping: waiting, by: \.lane.connection).mapValues(\.count) {
      lines.append("depths \(connectionText(connection)) \(depth)")
    }
    for (connection, jobs) in Dictionary(grouping: delayed.keys, by: \.lane.connection) {
      lines.append("late \(connectionText(connection)) \(jobs.count)")
    }
    for (lane, held) in leases {
      let jobs = held.jobs.map(\.text).joined(separator: ",")
      lines += ["lease \(lane) \(held.fence) \(held.worker) \(jobs)", "leases \(lane) \(held.expires)"]
    }
    for (connection, lanes) in Dictionary(grouping: leases.keys, by: \.connection) {
      lines.append("work \(connectionText(connection)) \(lanes.count)")
    }
    for (connection, phase) in phases { lines += phaseLines(connection, phase) }
    lines += parkedLanes.map { "parked \($0.key) \($0.value)" }
    for (worker, heard) in workers {
      lines += ["workers \(worker) \(heard.map(String.init) ?? "-inf")", "beats \(worker)"]
    }
    for (index, sample) in samples.enumerated() {
      lines.append("samples \(index + 1): \(sample.map(String.init).joined(separator: ","))")
    }
    return (lines + orderLines + ruleLines + counterLines).sorted()
  }

  private func phaseLines(_ connection: Int64, _ phase: Phase) -> [String] {
    let name = connectionText(connection)
    return switch phase {
    case .parked(let until): ["phase \(name) parked", "parked \(name) \(until)"]
    case .half: ["phase \(name) half"]
    case .probing(let lane): ["phase \(name) \(lane)"]
    }
  }

  private var orderLines: [String] {
    var lines: [String] = []
    for (lane, turn) in ready {
      let time = String(repeating: "0", count: 16 - "\(turn.time)".count) + "\(turn.time)"
      let member = "\(turn.jobClass.rawValue)\(connectionText(lane.connection))\(time)\(laneText(lane))"
      lines += ["ready \(member)", "places \(lane) \(member)"]
    }
    for (jobClass, connections) in turns {
      lines += connections.map { "turns:\(jobClass.rawValue) \(connectionText($0.key)) \($0.value)" }
    }
    lines += clocks.map { "virtual \($0.key.rawValue) \($0.value)" }
    lines += laneClocks.map { "virtual \($0.key.jobClass.rawValue):\(connectionText($0.key.connection)) \($0.value)" }
    lines += ends.map { "virtual \($0.key.jobClass.rawValue)\(connectionText($0.key.connection)) \($0.value)" }
    lines += laneEnds.map { "virtual \($0.key.jobClass.rawValue)\($0.key.lane) \($0.value)" }
    lines += tokens.filter { $0.value > 0 }.map { "wake:\($0.key.rawValue) \($0.value)" }
    return lines
  }

  private var ruleLines: [String] {
    guard let rules else { return [] }
    var lines = ["rules version \(rules.version)", "rules cap:* \(rules.mostLanes)"]
    if rules.isPaused { lines.append("rules pause:* 1") }
    for (connection, rule) in rules.connections {
      if let cap = rule.mostLanes { lines.append("rules cap:\(connectionText(connection)) \(cap)") }
      if rule.weight != 1 { lines.append("rules weight:\(connectionText(connection)) \(rule.weight)") }
    }
    for (lane, rule) in rules.lanes {
      if rule.isPaused { lines.append("rules pause:\(lane) 1") }
      if rule.weight != 1 { lines.append("rules weight:\(lane) \(rule.weight)") }
    }
    return lines
  }

  private var counterLines: [String] {
    var counters = totals
    for job in waiting { counters["waiting:\(job.jobClass.rawValue)\(job.text.suffix(1))", default: 0] += 1 }
    for job in delayed.keys { counters["delayed:\(job.text.suffix(1))", default: 0] += 1 }
    for job in leases.values.flatMap(\.jobs) { counters["leased:\(job.text.suffix(1))", default: 0] += 1 }
    return counters.filter { $0.value != 0 }.map { "counters \($0.key) \($0.value)" }
  }
}
