import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

/// Names that change between the moment at which they are read and the statement that uses them.
@Suite(.timeLimit(.minutes(2)))
struct RedirectTests {
  @Test func aSwapOfTwoTablesUnderARunNeverLeadsAGrantToTheOther() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      try await bench.whileARunWaits(for: ana) {
        try await bench.target.execute(
          """
          begin;
          alter table sales.orders rename to meanwhile;
          alter table sales.items rename to orders;
          alter table sales.meanwhile rename to items;
          commit
          """)
      }
      let ended = try await bench.job(job.id)
      #expect(ended.state == .completed, "\(ended.error ?? "")")
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.items SELECT", "schema sales USAGE", "database this CONNECT",
        ], "the table that was called orders when ana was subscribed to it")
    }
  }

  @Test func aSwapOfTwoSchemasUnderARunNeverLeadsAGrantToTheOther() async throws {
    try await Bench.run { bench in
      try await bench.target.createSchema("other")
      try await bench.target.createTables(["other.orders"])
      let ana = try await bench.makeSales()
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      try await bench.whileARunWaits(for: ana) {
        try await bench.target.execute(
          """
          begin;
          alter schema sales rename to meanwhile;
          alter schema other rename to sales;
          alter schema meanwhile rename to other;
          commit
          """)
      }
      #expect(try await bench.job(job.id).state == .completed)
      #expect(
        try await bench.target.grants(to: ana) == [
          "table other.orders SELECT", "schema other USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func aRenameUnderARunIsFollowed() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      try await bench.whileARunWaits(for: ana) {
        try await bench.target.execute("alter table sales.orders rename to renamed")
      }
      #expect(try await bench.job(job.id).state == .completed)
      #expect(try await bench.target.canRead(ana, "sales.renamed"))
    }
  }

  @Test func aTableDroppedUnderARunFailsItsOwnJobOnly() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.whileARunWaits(for: ana) { try await bench.target.execute("drop table sales.items") }
      #expect(try await bench.job(jobs[0].id).state == .completed)
      #expect(try await bench.job(jobs[1].id).state == .discarded)
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }
}

extension Bench {
  /// Runs what is due, and `body` at the moment at which a run has read all it needs and grants nothing yet: it waits to
  /// make the user's role, which another session is making too.
  fileprivate func whileARunWaits(for role: String, _ body: () async throws -> Void) async throws {
    let other = try await target.server.admin(target.database)
    try await other.execute("begin; create role \(role)")
    async let drained = drain(now: true)
    while try await target.rows(
      "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", [.text(target.manager)]
    ).isEmpty {
      // no event: the server tells nobody that a session waits
      try await Task.sleep(for: .milliseconds(5))
    }
    try await body()
    try await other.execute("rollback")
    await other.close()
    _ = try await drained
  }
}
