import Foundation
import LocalServers
import Metadata
import SluiceTestKit
import Testing

/// `job wait` while servers come and go.
@Suite(.timeLimit(.minutes(2)))
struct WaitTests {
  /// Ends the sessions of whoever waits for outcomes, as a restart of the server does; false if nobody waits yet.
  private static func disconnectWaiting(_ installation: Installation) async throws -> Bool {
    try await installation.metadata.read {
      try await $0.connection.query(
        """
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and application_name = 'sluice'
          and exists (select from pg_stat_activity w where w.datname = current_database() and w.pid <> pg_backend_pid()
            and w.application_name = 'sluice' and w.query like '%pg_advisory_lock_shared%')
        """
      ).rows.count > 0
    }
  }

  @Test func whatItWaitsForIsToldMeanwhileAndWhenTimeIsUp() async throws {
    try await Installation.run { installation in
      _ = try await installation.sluice("queue", "pause", "--lane", "prod/roles")
      let job = try await installation.enqueue()
      let run = try await installation.sluice("job", "wait", "\(job)", "--timeout", "5")
      #expect(run.status == .exited(3), "\(run)")
      let told = run.errors.split(separator: "\n").filter { $0.contains("its lane is paused since") }
      #expect(told.count == 2 && told[0].hasPrefix("job \(job): "), "\(run)")
      #expect(told.last?.contains("time is up: 1 job has not finished; job \(job): its lane is paused") == true)
    }
  }

  @Test func theReasonOfADiscardedJobIsToldOnce() async throws {
    try await Installation.run { installation in
      async let answer = installation.sluice("submit", "sync", "prod", "--wait", "--timeout", "50")
      while try await installation.metadata.read({ try await $0.unfinishedCount() }) == 0 { await Task.yield() }
      try await installation.handOver()
      try await installation.settle(
        try await installation.lease(), .discarded, error: "sync: permission denied", remedy: "grant it",
        result: #"{"warnings":["permission denied"]}"#)
      let run = try await answer
      #expect(run.status == .exited(1) && run.text.contains("sync: permission denied; grant it"), "\(run)")
      #expect("\(run)".split(separator: "permission denied", omittingEmptySubsequences: false).count == 2, "\(run)")
    }
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aWaitThatIsInterruptedSaysWhatBecomesOfTheJob(_ signal: Int32)
    async throws
  {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      let (process, errors) = try await installation.begin("job", "wait", "\(job)")
      while try await !Self.isWaiting(installation) { await Task.yield() }
      try process.signal(signal)
      #expect(await process.waitForExit() == .signalled(signal))
      let told = String(decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self)
      #expect(told.contains("wait again with: sluice job wait \(job)"), "\(told)")
    }
  }

  private static func isWaiting(_ installation: Installation) async throws -> Bool {
    try await installation.metadata.read {
      try await !$0.connection.query(
        """
        select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
          and state = 'idle' and query like '%pg_advisory_lock_shared%'
        """
      ).rows.isEmpty
    }
  }

  @Test func aRestartOfTheMetadataDatabaseInterruptsNoWait() async throws {
    try await Installation.run { installation in
      let job = try await installation.enqueue()
      async let answer = installation.sluice("job", "wait", "\(job)", "--timeout", "50")
      while try await !Self.disconnectWaiting(installation) { await Task.yield() }
      try await installation.settle(try await installation.lease(), .completed)
      let run = try await answer
      #expect(run.status == .exited(0), "\(run)")
      #expect(run.errors.contains("job \(job) was submitted and goes on; wait again with: sluice job wait \(job)"))
    }
  }
}
