import Cluster
import Foundation
import JobQueue
import LocalServers
import Metadata
import Platform
import Redis
import SluiceTestKit
import Testing

// What the failover tests need: other ways to the queue, and the ledger's word on what happened to each job.
extension ClusterBench {
  /// Another way to the queue. A worker's waits until a scheduler has established the queue on its server.
  func queue(on configuration: RedisConfiguration, leases: Bool) -> LaneQueue {
    let clients = [leases ? LaneQueue.admission(queue.configuration) : nil, nil].map {
      RedisClient(configuration: configuration, logger: Bench.quiet, admission: $0)
    }
    return LaneQueue(client: clients[0], wakeClient: clients[1], configuration: queue.configuration)
  }

  /// Has the metadata database note each change of a job's state or fence.
  func noteTransitions() async throws {
    try await bench.execute(
      """
      create table transition (
        id bigint generated always as identity primary key,
        job_id bigint, old_state text, state text, epoch bigint, sequence bigint);
      create function note_transition() returns trigger language plpgsql as $$
      begin
        insert into transition (job_id, old_state, state, epoch, sequence)
        values (new.id, old.state, new.state, new.fence_epoch, new.fence_sequence);
        return null;
      end $$;
      create trigger note_transition after update on job for each row execute function note_transition()
      """)
  }

  /// Every job has ended once, by one accepted settlement, and never began again; its fences only rose.
  func expectSound(subscriptions: Int) async throws {
    #expect(try await states()["subscribe completed"] == subscriptions)
    let final = "('completed', 'discarded', 'cancelled')"
    #expect(
      try await count("select count(*) as n from transition where old_state in \(final)") == 0,
      "something that had ended was changed")
    #expect(
      try await count(
        """
        select count(*) as n from (select from transition where state in \(final) group by job_id having count(*) > 1) x
        """) == 0, "something was settled twice")
    #expect(
      try await count(
        """
        select count(*) as n from (
          select (epoch, sequence) < lag((epoch, sequence)) over (partition by job_id order by id) as falls
          from transition where epoch is not null) x
        where falls
        """) == 0, "a fence fell")
  }

  /// Returns once so many subscriptions have been completed.
  func waitForSome(_ count: Int) async throws {
    try await wait("not even \(count) jobs were done") {
      try await self.count("select count(*) as n from job where state = 'completed' and kind = 'subscribe'") >= count
    }
  }

  /// Returns once nothing is in the queue any more.
  func waitForEmptyQueue() async throws {
    try await wait("the queue does not become empty") {
      let stats = try await queue.stats()
      return stats.waitingTotal + stats.delayed + stats.leased == 0
    }
  }

  func epoch() async throws -> Int64 { try await metadata.read { try await $0.queueState().epoch } }
}

/// The data of a Redis as they were at some time.
struct RedisFiles {
  private let directory: String
  private static let names = ["dump.rdb", "appendonlydir"]
  private var copies: String { directory + "/old" }

  /// Copies what a server has on disk now.
  init(of redis: PrivateRedis) async throws {
    directory = redis.options.directory
    if !redis.options.appendOnly { _ = try await redis.command("SAVE") }
    try Self.run("mkdir -p \(copies) && for name in \(Self.list); do cp -a \(directory)/$name \(copies)/ || true; done")
  }

  /// Puts the copies in the place of the files of a server that is stopped.
  func putBack() throws {
    try Self.run("cd \(directory) && rm -rf \(Self.list) && cp -a \(copies)/* \(directory)/")
  }

  private static var list: String { names.joined(separator: " ") }

  private static func run(_ script: String) throws {
    let shell = Process()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = ["-c", script]
    shell.standardError = FileHandle.nullDevice
    try shell.run()
    shell.waitUntilExit()
    #expect(shell.terminationStatus == 0, "\(script)")
  }
}
