import Foundation
import LocalServers
import Platform
import Postgres

/// Servers that follow another, as an operator would set them up.
extension TestServer {
  /// A standby of this server. From now on a commit here waits until the standby has it too.
  package func startStandby() async throws -> TestServer {
    var options = postgres.options
    options.directory += "-standby"
    options.primary = postgres
    let standby = TestServer(postgres: try await PrivatePostgres.start(options))
    try await execute("alter system set synchronous_standby_names = '*'")
    try await execute("select pg_reload_conf()")
    let limit = Deadline.after(.seconds(30))
    while try await !hasSynchronousStandby() {
      if limit.hasPassed { throw BenchError(text: "the standby does not follow its primary") }
      // no event: a primary does not tell when a standby has caught up
      try await Task.sleep(for: .milliseconds(20))
    }
    return standby
  }

  private func hasSynchronousStandby() async throws -> Bool {
    try await withAdmin {
      try await !$0.query("select from pg_stat_replication where sync_state = 'sync'").rows.isEmpty
    }
  }

  /// Makes a standby a primary of its own; returns when it takes writes.
  package func promote() async throws { try await execute("select pg_promote(true, 60)") }

  /// The way to a database of whichever of the two takes writes.
  package func configuration(database: String, orOf standby: TestServer) -> PostgresConfiguration {
    var both = configuration(database: database)
    both.alternatives = [.init(host: standby.postgres.socketDirectory, port: standby.postgres.port)]
    both.sessionTarget = .readWrite
    return both
  }
}
