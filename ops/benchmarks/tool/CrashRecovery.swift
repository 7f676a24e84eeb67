import Foundation
import JobQueue
import Platform

/// How long the jobs of a worker that is killed wait until the first of them runs elsewhere.
enum CrashRecovery {
  private static let jobs = 10
  /// Longer than any lease: the jobs do not end by themselves.
  private static let hold: Duration = .seconds(120)

  static let measurement = BenchCase<QueueRun>(
    name: "crash", summary: "seconds from SIGKILL of a worker to its first job running elsewhere; beside it the lease"
  ) { run in
    let stage = try await run.stage()
    return try await stage.withWorkers(2, hold: hold) { workers in
      try await stage.submit(LedgerStage.Jobs(count: jobs, lanes: [stage.lanes[0]]))
      let started = try await holder(among: workers)
      try started.worker.process.signal(SIGKILL)
      let killed = monotonicNanoseconds()
      guard let other = workers.first(where: { $0.process.pid != started.worker.process.pid }) else {
        throw BenchError("there is no other worker")
      }
      let again = try await first(of: started.jobs, on: other, lease: stage.redis.queue.configuration.leaseTTL)
      await other.kill()
      return [
        Measurement(
          "crash/elsewhere", Double(again - killed) / 1e9, "s",
          ceiling: stage.redis.queue.configuration.leaseTTL.seconds)
      ]
    }
  }

  private static func holder(
    among workers: [RoleProcess]
  ) async throws -> (worker: RoleProcess, jobs: Set<Int64>) {
    let limit = Deadline.after(LedgerStage.patience)
    while !limit.hasPassed {
      for worker in workers {
        let jobs = try worker.starts().keys
        if !jobs.isEmpty { return (worker, Set(jobs)) }
      }
      // no event: another process writes a file
      try await Task.sleep(for: .milliseconds(5))
    }
    throw BenchError("no worker started a job within \(LedgerStage.patience)")
  }

  private static func first(of jobs: Set<Int64>, on worker: RoleProcess, lease: Duration) async throws -> Int64 {
    let limit = Deadline.after(lease + LedgerStage.patience)
    while !limit.hasPassed {
      if let start = try worker.starts().filter({ jobs.contains($0.key) }).values.min() { return start }
      // no event: another process writes a file
      try await Task.sleep(for: .milliseconds(5))
    }
    throw BenchError("no job of the killed worker ran elsewhere within \(lease + LedgerStage.patience)")
  }
}
