import Foundation
import JobQueue
import RedisTestKit
import Testing

/// A rule of a script, broken. The model test must notice each of them, or it would not notice a mistake either.
struct Mutation: Sendable, CustomStringConvertible {
  let file: String
  let rule: String
  let broken: String

  init(_ file: String, _ rule: String, _ broken: String) { (self.file, self.rule, self.broken) = (file, rule, broken) }

  var description: String { "\(file): \(rule) → \(broken.isEmpty ? "nothing" : broken)" }

  /// The scripts with this rule broken; nil if no script has the rule any more.
  var scripts: QueueScripts? {
    var isApplied = false
    let scripts = QueueScripts.timed { name, text in
      guard name == file, text.contains(rule) else { return text }
      isApplied = true
      return text.replacingOccurrences(of: rule, with: broken)
    }
    return isApplied ? scripts : nil
  }
}

@Suite(.timeLimit(.minutes(5)))
struct MutationTests {
  @Test(arguments: Mutation.all) func brokenRuleIsNoticed(mutation: Mutation) async throws {
    let scripts = try #require(mutation.scripts, "no script has this rule any more")
    try await PrivateRedis.run { redis async throws in
      for seed in UInt64(1)...24 {
        let flush = redis.client()
        _ = try await flush.send(["FLUSHALL"])
        await flush.close()
        var run = ModelRun(redis: redis, seed: seed, scripts: scripts)
        do { try await run.run(steps: 400, seed: seed) } catch is Divergence { return }
      }
      Issue.record("nothing noticed this mutation: \(mutation)")
    }
  }

  @Test(arguments: Mutation.unfair) func unfairRuleIsNoticed(mutation: Mutation) async throws {
    let scripts = try #require(mutation.scripts, "no script has this rule any more")
    try await PrivateRedis.run { redis async throws in
      let flush = redis.client()
      for seed in TurnTests.seeds {
        _ = try await flush.send(["FLUSHALL"])
        var run = TurnRun(redis: redis, seed: seed, scripts: scripts)
        do { try await run.run(leases: TurnTests.leases) } catch is Divergence { return }
      }
      Issue.record("nobody was passed over by this mutation: \(mutation)")
    }
  }
}

extension Mutation {
  /// What the order was once: fair by the letter of the model, and not to those who waited.
  static let unfair: [Mutation] = [
    Mutation(
      "lane", "local ended = call('HGET', VIRTUAL, highest .. lane)",
      "local ended = tonumber(call('HGET', COUNTS, lane)) > 1 and call('HGET', VIRTUAL, highest .. lane)"),
    Mutation("lease", "take(digit, share)", "take(digit, math.floor(limit / 16))"),
    Mutation("lease", "for digit in lower:gmatch('.') do take(digit, share)", "do take(lower:sub(-1), share)"),
    Mutation("lease", "if others == 0 and digit > class", "if digit > class"),
    Mutation("lease", "call('HGET', COUNTERS, 'leases:' .. classes)", "call('HGET', COUNTERS, 'leases')"),
    Mutation("lane", "call('HGET', VIRTUAL, class .. connection)", "nil"),
  ]

  static let all: [Mutation] = [
    // Nothing is lost, nothing is twice.
    Mutation("enqueue", "if call('GET', EPOCH) ~= ARGV[1] then", "if false then"),
    Mutation("enqueue", "if most > 0 and", "if false and"),
    Mutation("enqueue", "+ call('ZCARD', DELAYED) >= most", ">= most"),
    Mutation("enqueue", "if share > 0 and", "if false and"),
    Mutation("enqueue", " + (call('HGET', LATE, connection) or 0)", " + 0"),
    Mutation("enqueue", "and connection ~= '0000000000' and", "and"),
    Mutation("enqueue", "late[at] and delay == 0 and", "false and"),
    Mutation("enqueue", "or late[at] or", "or"),
    Mutation("enqueue", "or waits[at] or", "or"),
    Mutation("enqueue", "not (leased[job] or", "not ("),
    Mutation("waiting", "places[index] or '3'", "places[index] and '0' or '3'"),
    Mutation("enqueue", "known[job], added = true, added + 1", "added = added + 1"),
    Mutation("waiting", "opened[connection] = (opened[connection] or '') .. class", ""),
    Mutation("holding", "lease.again[job] = true", ""),
    Mutation("holding", "move('ZADD', {[lane] = back})", ""),
    Mutation("settle", "or (lease.again and lease.again[job])", ""),
    Mutation("settle", "late[#late + 1] = job", ""),
    Mutation("settle", "= time + delay", "= time"),
    Mutation("due", "move('ZADD', {[lane] = jobs})", ""),
    Mutation("due", "call('ZREM', DELAYED, member)", ""),
    Mutation("due", "finish(lane, lease, lease.jobs, false)", "finish(lane, lease, {}, false)"),
    Mutation("lease", "move('ZREM', {[lane] = jobs})", ""),
    Mutation("cancel", "move('ZREM', {[ARGV[1]] = {ARGV[2]}})", ""),
    Mutation("establish", "if current >= epoch then", "if false then"),
    Mutation("establish", "if not kept[index] then", "if index ~= 3 and not kept[index] then"),
    // One worker a lane, by its fence.
    Mutation("holding", "lease.epoch == epoch and ", ""),
    Mutation("holding", " and lease.sequence == tonumber(sequence)", ""),
    Mutation("lease", "call('INCR', SEQUENCE)", "call('GET', SEQUENCE) or 1"),
    Mutation("lane", "call('ZSCORE', LEASES, lane) or ", ""),
    Mutation("lease", "time + ARGV[3], lane", "time, lane"),
    Mutation("settle_and_lease", "outcome == 1 and", ""),
    Mutation("extend", "now() + ARGV[4]", "now()"),
    Mutation(
      "due", "'-inf', time, 'LIMIT', 0, 10)) do\n    local packed",
      "'-inf', time + 1, 'LIMIT', 0, 10)) do\n    local packed"),
    // What is parked or paused is not taken.
    Mutation("lane", "call('ZSCORE', PARKED, lane) or ", ""),
    Mutation("lane", " or rule('pause:', lane)", ""),
    Mutation("lane", "if phase and phase ~= 'half' then", "if false then"),
    Mutation("lease", "if half then call('HSET', PHASE, connection, lane) end", ""),
    Mutation("lease", "and not paused", ""),
    Mutation("holding", "if well then", "if true then"),
    Mutation("settle", "well = well or", "well = false and"),
    Mutation("holding", "call('HSET', PHASE, subject, 'half')", "call('HDEL', PHASE, subject)"),
    Mutation("holding", "call('ZREM', PARKED, subject)", ""),
    Mutation("park", "  open(subject)", ""),
    Mutation("park", "if ARGV[3] and not lease then", "if false then"),
    Mutation("rules", "if tonumber(rule('version', '') or -1) >= tonumber(ARGV[1]) then return 0 end", ""),
    Mutation("rules", "for lane in pairs(lanes) do place(lane) end", ""),
    Mutation("rules", "for connection in pairs(connections) do open(connection) end", ""),
    // Whose turn it is.
    Mutation("lane", ">= tonumber(cap)", "> tonumber(cap)"),
    Mutation("lane", "(call('HGET', VIRTUAL, clock) or -1) + 1", "0"),
    Mutation("lane", ", tonumber(ended or 0))", ", 0)"),
    Mutation("lane", "/ (rule('weight:', subject) or 1)", ""),
    Mutation("lease", "turn + cost(taken[class], connection)", "turn"),
    Mutation("lease", "began + cost(taken[class], lane)", "began"),
    Mutation("lease", "if turns == 0 then order = classes:reverse()", "if false then"),
    Mutation("lease", "order = '102'", "order = '012'"),
    Mutation("lease", "limit - share * #lower", "limit"),
    Mutation("lease", "take(digit, share)", ""),
    Mutation("lease", "if others == 0 and digit > class", "if digit > class"),
    Mutation("lease", "call('HINCRBY', COUNTERS, 'leases:' .. classes, 1)", ""),
    Mutation("lease", "more and 0 or", ""),
    Mutation("lease", "or until_due(time)}", "or -1}"),
    Mutation("lease", "call('ZADD', TURNS[class], 'XX', ended, connection)", ""),
    Mutation("lane", "if ended and tonumber(ended) < time then", "if false then"),
    Mutation("lane", "local ended = call('HGET', VIRTUAL, highest .. lane)", "local ended"),
    Mutation("lane", "work >= 2 * cap", "full"),
    Mutation("rules", "for _, connection in ipairs(call('HKEYS', WORK)) do", "for _, connection in ipairs({}) do"),
    Mutation(
      "holding", "if call('HINCRBY', WORK, connection, -1) == 0", "if call('HINCRBY', WORK, connection, 0) == 0"),
    // Who waits for work is woken, by few tokens.
    Mutation("lane", "\n      or fresh and fresh:find(class, 1, true) then", " then"),
    Mutation("tokens", "< most then", "<= most then"),
    Mutation("tokens", "if not quiet then", "if true then"),
    Mutation("tokens", "if told[class] or due >= time + 5000 then", "if told[class] then"),
    Mutation("tokens", "if due >= expected then return end", ""),
    Mutation("tokens", "push(class, 1)", ""),
    Mutation("settle", "announce(time + delay, time, job:sub(1, 1))", ""),
    Mutation("enqueue", "announce(time + delay, time, job:sub(1, 1))", ""),
    Mutation("park", "for class in pairs(TURNS) do announce(time + ARGV[2], time, class) end", ""),
    Mutation("lease", "wake(digit, 1) break", "break"),
    Mutation("lease", "wake(digit, 1) break", "wake(digit, 1)"),
    Mutation("rules", "if not rule('pause:', '*') then", "if false then"),
    // What operators see.
    Mutation("due", "< 10000 then return", "< 1000 then return"),
    Mutation("due", "call('LTRIM', SAMPLES, 0, 6)", ""),
    Mutation("beat", "time - ARGV[3]", "time - 2 * ARGV[3]"),
    Mutation("beat", "'-inf' or time", "time or time"),
    Mutation("beat", "call('HDEL', BEATS, worker)", ""),
    // Counters equal a recount.
    Mutation("holding", "count('leased:', lease.jobs, -1)", ""),
    Mutation("waiting", "count('waiting:', all, sign, true)", ""),
    Mutation("cancel", "delays(ARGV[1], {ARGV[2]}, -1)", ""),
    Mutation(
      "enqueue", "delays(lane, changed, delay > 0 and 1 or -1)", "if delay > 0 then delays(lane, changed, 1) end"),
    Mutation(
      "enqueue", "delays(lane, changed, delay > 0 and 1 or -1)", "if delay == 0 then delays(lane, changed, -1) end"),
    Mutation("waiting", "(depths[lane:sub(1, 10)] or 0) + sign", "sign"),
    Mutation("due", "delays(lane, jobs, -1)", "count('delayed:', jobs, -1)"),
    Mutation("settle", "delays(lane, late, 1)", "count('delayed:', late, 1)"),
    Mutation("due", "call('HINCRBY', COUNTERS, 'reaped', #lease.jobs)", ""),
  ]
}
