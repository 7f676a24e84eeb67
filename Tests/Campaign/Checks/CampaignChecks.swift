/// Holds readings against the rules. Pure, so that tests can show of each rule that it can be broken.
package enum CampaignChecks {
  package static func violations(in readings: Readings) -> [Violation] {
    access(readings) + grants(readings) + roles(readings) + settlements(readings) + fences(readings)
      + attempts(readings) + queue(readings)
  }

  static func access(_ readings: Readings) -> [Violation] {
    var found: [Violation] = []
    for (key, asked) in readings.asked {
      let desired = readings.desired[key] ?? .none
      if desired != asked {
        found.append(Violation(.nothingLost, "\(key): \(asked) was asked for last, \(desired) is desired"))
      }
      let observed = readings.observed[key] ?? []
      if observed != asked.privileges {
        let words = observed.isEmpty ? "nothing" : observed.sorted().joined(separator: ", ")
        found.append(Violation(.nothingStale, "\(key): \(asked) was asked for last, the target gives \(words)"))
      }
    }
    return found
  }

  static func grants(_ readings: Readings) -> [Violation] {
    let missing = readings.desiredGrants.subtracting(readings.observedGrants)
    let surplus = readings.observedGrants.subtracting(readings.desiredGrants)
    var found =
      missing.map { Violation(.grantsAsDesired, "missing: \($0)") }
      + surplus.map { Violation(.grantsAsDesired, "nobody asks for: \($0)") }
    for (database, roles) in readings.admitted {
      let needed = Set(readings.desiredGrants.filter { $0.table.database == database }.map(\.role))
      found += roles.subtracting(needed).map {
        Violation(.grantsAsDesired, "\($0) may still enter \(database), where it has no table")
      }
    }
    return found
  }

  static func roles(_ readings: Readings) -> [Violation] {
    readings.observedRoles.subtracting(readings.desiredRoles).map { Violation(.nothingLeftBehind, "role \($0)") }
      + readings.observedMembers.subtracting(readings.desiredMembers).map {
        Violation(.nothingLeftBehind, "membership of \($0)")
      }
      + readings.desiredMembers.subtracting(readings.observedMembers).map {
        Violation(.nothingStale, "missing membership of \($0)")
      }
  }

  static func settlements(_ readings: Readings) -> [Violation] {
    let finals = Dictionary(grouping: readings.attempts.filter(\.isFinal), by: \.job)
    return readings.jobs.flatMap { job -> [Violation] in
      var found: [Violation] = []
      if !job.isFinal { found.append(Violation(.allSettled, "job \(job.id) (\(job.kind)) is \(job.state)")) }
      let count = finals[job.id]?.count ?? 0
      if job.isFinal, count != 1 {
        found.append(Violation(.settledOnce, "job \(job.id) (\(job.kind), \(job.state)) was settled \(count) times"))
      }
      if job.state == "discarded" || job.state == "cancelled" {
        let reason = job.error ?? "no reason"
        found.append(
          Violation(.noDeadLetters, "job \(job.id) (\(job.kind)) is \(job.state), \(job.stalls) stalls: \(reason)"))
      }
      if job.hasOpenKey, job.isFinal || job.state == "running" {
        found.append(Violation(.noOpenKey, "job \(job.id) (\(job.kind)) is \(job.state)"))
      }
      return found
    }
  }

  /// Of a job: each accepted settlement is under a later fence than the one before. Of a lane: whoever claimed later
  /// did so under a later fence, or the same.
  static func fences(_ readings: Readings) -> [Violation] {
    var found: [Violation] = []
    for (job, attempts) in Dictionary(grouping: readings.attempts, by: \.job) {
      let inOrder = attempts.sorted { ($0.finishedAt, $0.fence) < ($1.finishedAt, $1.fence) }
      for (earlier, later) in zip(inOrder, inOrder.dropFirst()) where later.fence <= earlier.fence {
        found.append(Violation(.fencesRise, "job \(job) was settled under \(earlier.fence), then \(later.fence)"))
      }
    }
    for (lane, attempts) in Dictionary(grouping: readings.attempts, by: \.lane) {
      let inOrder = attempts.sorted { ($0.startedAt, $0.fence) < ($1.startedAt, $1.fence) }
      for (earlier, later) in zip(inOrder, inOrder.dropFirst()) where later.fence < earlier.fence {
        found.append(
          Violation(
            .fencesRise,
            "lane \(lane): job \(earlier.job) was claimed under \(earlier.fence), later job \(later.job) under "
              + "\(later.fence)"))
      }
    }
    return found
  }

  /// What PostgreSQL says when two sessions want the same catalog row; nothing else may cost an attempt here.
  private static let conflicts = [
    "concurrently updated", "lock timeout", "deadlock detected", "could not serialize", "statement timeout",
  ]

  static func attempts(_ readings: Readings) -> [Violation] {
    let unexplained = readings.attempts.filter { attempt in
      attempt.outcome == "retryable" && !Self.conflicts.contains { attempt.error?.contains($0) == true }
    }
    let counted = readings.attempts.filter { $0.outcome != "snoozed" }
    let shown = Dictionary(grouping: counted, by: \.job).mapValues(\.count)
    return unexplained.map {
      Violation(.attemptsForConflicts, "job \($0.job) under \($0.fence): \($0.error ?? "no reason")")
    }
      + readings.jobs.filter { $0.isFinal && $0.attempt > shown[$0.id] ?? 0 }.map {
        Violation(.attemptsForConflicts, "job \($0.id) counts \($0.attempt) attempts and shows \(shown[$0.id] ?? 0)")
      }
  }

  static func queue(_ readings: Readings) -> [Violation] {
    let queue = readings.queue
    guard queue.waiting + queue.leased + queue.delayed > 0 else { return [] }
    return [
      Violation(.queueDrained, "\(queue.waiting) waiting, \(queue.leased) leased, \(queue.delayed) delayed")
    ]
  }
}
