import Enforcement
import JobQueue
import Platform

/// How a worker process works. Every limit has its default here.
package struct WorkerConfiguration: Sendable {
  /// Names this process in leases, in the ledger and in the audit trail.
  package var name: String
  /// Lanes worked at the same time.
  package var concurrency = 4
  /// Jobs taken of a lane at once, at most.
  package var batchSize = 200
  /// About how long a batch may take: fewer jobs are taken at once while they are slow.
  package var batchTime: Duration = .seconds(5)
  /// What this worker takes: all classes, unless some workers are kept free for revokes.
  package var classes = Set(JobClass.allCases)
  /// How long a result, or a job to be given back, is offered to a metadata database that does not answer. After it the
  /// batch is given up, and its jobs run again.
  package var resultPatience: Duration = .seconds(300)
  /// Between two tries while Redis or the metadata database does not answer.
  package var outageBackoff = Backoff(base: .milliseconds(200), cap: .seconds(5))
  /// How long a connection that cannot be reached parks, by the number of failures in a row.
  package var parkBackoff = Backoff(base: .seconds(2), cap: .seconds(60))
  /// How long a stopped or unhealthy connection parks at most if no scheduler wakes it.
  package var longestPark: Duration = .seconds(300)
  /// After this many failures to reach it in a row a connection is reported as unhealthy.
  package var unhealthyAfter = 3

  /// How long a lane parks at least whose database is not there, while a sync finds out what became of it.
  package var databaseRetry: Duration = .seconds(5)

  /// What it says of itself to operators; nil for one that stays unseen.
  package var beat: WorkerBeat?
  /// Goes with each beat.
  package var progress: JobProgress?

  package init(name: String) { self.name = name }
}

/// How a scheduler process works.
package struct SchedulerConfiguration: Sendable {
  package var name: String
  /// The outbox is looked at after every announcement, and at least this often.
  package var outboxPoll: Duration = .seconds(1)
  /// Jobs copied to Redis at once.
  package var outboxBatch = 1000
  /// Between two rounds of the leader's duties.
  package var dutyInterval: Duration = .milliseconds(500)
  /// The first probe of an instance that stopped follows after this, each later one after half as long again.
  package var firstProbe: Duration = .seconds(1)
  package var longestProbe: Duration = .seconds(30)
  /// How long an instance's API may take to answer one question.
  package var questionLimit: Duration = .seconds(10)
  /// Instances asked at the same time, and how many of them may be of one workspace.
  package var questionsAtOnce = 16
  package var questionsOfWorkspace = 4
  /// Finished jobs are kept this long.
  package var jobRetention: Duration = .seconds(7 * 86_400)
  /// Dead letters are kept this long for somebody to decide.
  package var deadRetention: Duration = .seconds(90 * 86_400)
  /// How long deleting old jobs may delay the expiry of subscriptions; what is left then follows in the next round.
  package var pruneTime: Duration = .seconds(1)
  /// Rows that one round of duties touches of each kind.
  package var roundLimit = 1000
  package var outageBackoff = Backoff(base: .milliseconds(200), cap: .seconds(5))

  package init(name: String) { self.name = name }

  /// When the next probe follows after `failures` that found the instance not running.
  package func probeDelay(failures: Int) -> Duration {
    var delay = firstProbe
    for _ in 0..<min(max(failures, 0), 30) where delay < longestProbe { delay = delay * 3 / 2 }
    return min(delay, longestProbe)
  }
}
