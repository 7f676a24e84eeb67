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
