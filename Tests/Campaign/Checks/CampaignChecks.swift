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
    let told = Dictionary(grouping: readings.attempts.filter(\.isFinal), by: \.job).mapValues(\.count)
    let seen = Dictionary(grouping: readings.transitions.filter(\.isSettlement), by: \.job).mapValues(\.count)
    return readings.jobs.flatMap { job -> [Violation] in
      var found: [Violation] = []
      if !job.isFinal { found.append(Violation(.allSettled, "job \(job.id) (\(job.kind)) is \(job.state)")) }
      if job.isFinal, told[job.id] != 1 || seen[job.id] != 1 {
        let counts = "\(seen[job.id] ?? 0) times, and \(told[job.id] ?? 0) settlements are told"
        found.append(Violation(.settledOnce, "job \(job.id) (\(job.kind), \(job.state)) was settled \(counts)"))
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

  /// Of a job: each claim is under a later fence than the one before, or under the same by the same worker, whose
  /// answer was lost; and nothing happens to a job once it has ended. Of a lane: no claim is under an earlier epoch.
  static func fences(_ readings: Readings) -> [Violation] {
    var found: [Violation] = []
    for (job, transitions) in Dictionary(grouping: readings.transitions, by: \.job) {
      let claims = transitions.filter(\.isClaim)
      for (earlier, later) in zip(claims, claims.dropFirst()) where !follows(later, earlier) {
        found.append(Violation(.fencesRise, "job \(job) was claimed under \(told(earlier)), then under \(told(later))"))
      }
      for transition in transitions where JobReading.finalStates.contains(transition.from) {
        found.append(Violation(.settledOnce, "job \(job) went from \(transition.from) to \(transition.to)"))
      }
    }
    for (lane, claims) in Dictionary(grouping: readings.transitions.filter(\.isClaim), by: \.lane) {
      for (earlier, later) in zip(claims, claims.dropFirst()) where epoch(later) < epoch(earlier) {
        let jobs = "job \(earlier.job) was claimed under \(told(earlier)), then job \(later.job) under \(told(later))"
        found.append(Violation(.fencesRise, "lane \(lane): \(jobs)"))
      }
    }
    return found
  }

  private static func follows(_ later: TransitionReading, _ earlier: TransitionReading) -> Bool {
    guard let after = later.fence, let before = earlier.fence else { return false }
    return after > before || (after == before && later.worker == earlier.worker)
  }

  private static func epoch(_ claim: TransitionReading) -> Int64 { claim.fence?.epoch ?? 0 }

  private static func told(_ claim: TransitionReading) -> String {
    "\(claim.fence.map { "\($0)" } ?? "no fence") by \(claim.worker)"
  }

  /// What PostgreSQL says when two sessions want the same catalog row; nothing else may cost an attempt here.
  private static func isConflict(_ error: String) -> Bool {
    error.contains(#/concurrently updated|lock timeout|deadlock detected|could not serialize|statement timeout/#)
  }

  static func attempts(_ readings: Readings) -> [Violation] {
    let unexplained = readings.attempts.filter { attempt in
      attempt.outcome == "retryable" && !isConflict(attempt.error ?? "")
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

  /// A few keys for the queue and for each connection; none for a lane or a job that has nothing to do.
  private static let keysOfAnEmptyQueue = 40

  static func queue(_ readings: Readings) -> [Violation] {
    let queue = readings.queue
    var found: [Violation] = []
    if queue.waiting + queue.leased + queue.delayed > 0 {
      found.append(
        Violation(.queueDrained, "\(queue.waiting) waiting, \(queue.leased) leased, \(queue.delayed) delayed"))
    }
    if let keys = queue.keys, keys > keysOfAnEmptyQueue {
      found.append(Violation(.queueDrained, "\(keys) keys are left, \(keysOfAnEmptyQueue) at most are expected"))
    }
    return found
  }
}
