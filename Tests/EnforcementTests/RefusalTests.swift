import Enforcement
import Governance
import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct RefusalTests {
  @Test func aTableWithoutGrantOptionFailsAloneAndSaysWhatToDo() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("revoke all on sales.items from \(bench.target.manager) cascade")
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      #expect(try await bench.job(jobs[0].id).state == .completed)
      let refused = try await bench.job(jobs[1].id)
      #expect(refused.state == .discarded)
      #expect(refused.remedy?.contains("WITH GRANT OPTION") == true)
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func aPrivilegeWithoutItsGrantOptionIsNoticedAlthoughTheServerOnlyWarns() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        "revoke grant option for select on sales.items from \(bench.target.manager) cascade")
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      #expect(try await bench.job(jobs[0].id).state == .completed)
      let refused = try await bench.job(jobs[1].id)
      #expect(refused.state == .discarded)
      #expect(refused.error?.contains(#""sales"."items""#) == true)
      #expect(refused.remedy?.contains("WITH GRANT OPTION") == true)
    }
  }

  @Test func aSchemaThatCannotBeOpenedFailsOnlyTheJobsOfItsTables() async throws {
    try await Bench.run { bench in
      try await bench.target.createSchema("hr")
      try await bench.target.createTables(["hr.people"])
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        "revoke grant option for usage on schema hr from \(bench.target.manager) cascade")
      let jobs = try await bench.subscribe(ana, to: ["hr.people", "sales.orders"])
      try await bench.drain()
      #expect(try await bench.job(jobs[0].id).state == .discarded)
      #expect(try await bench.job(jobs[1].id).state == .completed)
    }
  }

  @Test func aRoleNameThatPostgreSQLWouldCutIsRefused() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let long = try await bench.addUser(String(repeating: "x", count: 60))
      let jobs = try await bench.subscribe(long, to: ["sales.orders"])
      try await bench.drain()
      let refused = try await bench.job(jobs[0].id)
      #expect(refused.state == .discarded)
      #expect(refused.remedy?.contains("sluice user map") == true)
      #expect(try await bench.target.roleExists(String(long.prefix(63))) == false)
    }
  }

  @Test func aDroppedTableDiscardsItsJobAndSubmitsASync() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("drop table sales.items")
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      let ended = try await bench.drain()
      #expect(try await bench.job(jobs[0].id).state == .completed)
      #expect(try await bench.job(jobs[1].id).state == .discarded)
      #expect(ended.contains { $0.kind == .sync && $0.state == .completed })
      await #expect(throws: MetadataError.self) {
        try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "items")) }
      }
    }
  }

  @Test func anOpenGrantOnOneTableDelaysItsJobAndNoOther() async throws {
    try await Bench.run(lockTimeout: .milliseconds(200)) { bench in
      let ana = try await bench.makeSales()
      let other = try await TestServer.shared.admin(bench.target.database)
      try await other.execute("begin; set role \(bench.target.owner); grant select on sales.items to postgres")
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.run(jobs.map(\.id), lane: jobs[0].lane)
      #expect(try await bench.job(jobs[0].id).state == .completed)
      #expect(try await bench.job(jobs[1].id).state == .retryable)
      try await other.execute("commit")
      await other.close()
      try await bench.drain(now: true)
      #expect(try await bench.job(jobs[1].id).state == .completed)
      #expect(try await bench.target.canRead(ana, "sales.items"))
    }
  }

  /// The server then says that the tuple was concurrently updated; and the rest of a statement is not to blame.
  @Test func whatCommitsWhileAGrantWaitsForItCostsTheJobNoAttempt() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let other = try await bench.target.server.admin(bench.target.database)
      try await other.execute("begin; set role \(bench.target.owner); grant select on sales.items to postgres")
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      async let results = bench.run(jobs.map(\.id), lane: jobs[0].lane)
      while try await bench.target.rows(
        "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", [.text(bench.target.manager)]
      ).isEmpty {
        // no event: the server tells nobody that a session waits
        try await Task.sleep(for: .milliseconds(5))
      }
      try await other.execute("commit")
      #expect(try await results.map(\.outcome) == [.completed, .completed])
      await other.close()
      #expect(try await bench.target.canRead(ana, "sales.items"))
    }
  }

  @Test func aHeldLaneLockDelaysTheWholeBatchAtOnceAndCostsNoAttempt() async throws {
    try await Bench.run(lockTimeout: .seconds(2)) { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createTables((0..<16).map { "sales.t\($0)" })
      try await bench.sync()
      let other = try await TestServer.shared.admin(bench.target.database)
      // The lock that a run in a database holds: "SLUI" in ASCII, and 2.
      try await other.execute("begin; select pg_advisory_xact_lock(\(0x534C_5549), 2)")
      let jobs = try await bench.subscribe(ana, to: (0..<16).map { "sales.t\($0)" })
      let began = ContinuousClock.now
      let error = await #expect(throws: TargetError.self) {
        try await bench.run(jobs.map(\.id), lane: jobs[0].lane)
      }
      #expect(error?.disposition == .locked)
      #expect(began.duration(to: .now) < .seconds(15), "each job waited for the lock by itself")
      #expect(try await bench.job(jobs[0].id).attempt == 0)
      try await other.execute("commit")
      await other.close()
      #expect(try await bench.drain(now: true).allSatisfy { $0.state == .completed })
    }
  }

  @Test func manyLockedTablesCostABatchOneLockTimeout() async throws {
    try await Bench.run(lockTimeout: .seconds(2)) { bench in
      let ana = try await bench.makeSales()
      let tables = (0..<16).map { "sales.t\($0)" }
      try await bench.target.createTables(tables)
      try await bench.sync()
      let other = try await TestServer.shared.admin(bench.target.database)
      try await other.execute(
        "begin; set role \(bench.target.owner); grant select on \(tables.joined(separator: ", ")) to postgres")
      let jobs = try await bench.subscribe(ana, to: tables)
      let began = ContinuousClock.now
      try await bench.run(jobs.map(\.id), lane: jobs[0].lane)
      #expect(began.duration(to: .now) < .seconds(15), "each half waited as long as the whole")
      try await other.execute("commit")
      await other.close()
      #expect(try await bench.drain(now: true).allSatisfy { $0.state == .completed })
    }
  }

  /// As where the lock table is full: somebody else's transaction ends, and there is room again.
  @Test func aServerShortOfMemoryIsNobodysFault() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        """
        create function public.refuse() returns event_trigger language plpgsql as $$ begin
          if current_query() like '%"items"%' then
            raise exception 'out of shared memory' using errcode = '53200';
          end if;
        end $$;
        create event trigger refuse on ddl_command_start when tag in ('GRANT') execute function public.refuse()
        """)
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.run(jobs.map(\.id), lane: jobs[0].lane)
      #expect(try await bench.job(jobs[0].id).state == .completed)
      #expect(try await bench.job(jobs[1].id).state == .retryable)
      try await bench.target.execute("drop event trigger refuse")
      try await bench.drain(now: true)
      #expect(try await bench.job(jobs[1].id).state == .completed)
    }
  }

  /// Whether the server ends the statement or our own deadline does.
  @Test(arguments: [Duration.seconds(5), .milliseconds(-400)])
  func aJobThatAlwaysTakesTooLongIsCountedAloneAndGivenUp(margin: Duration) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let jobs = try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.makeSlow("items")
      var limits = TargetLimits()
      (limits.statementTimeout, limits.statementMargin) = (.milliseconds(800), margin)
      let slow = try await bench.subscribe(ana, to: ["sales.items"])[0]
      let ben = try await bench.addUser("ben")
      let neighbour = try await bench.subscribe(ben, to: ["sales.orders"])[0]
      let revoke = try await bench.revoke(ana, from: ["sales.orders"])[0]
      try await bench.run([slow.id, neighbour.id, revoke.id], lane: jobs[0].lane, limits: limits)
      #expect(try await bench.job(revoke.id).state == .completed)
      #expect(try await bench.job(neighbour.id).state == .completed)
      let counted = try await bench.job(slow.id)
      #expect(counted.state == .retryable && counted.attempt == 1, "\(counted)")
      try await bench.execute("update job set attempt = max_attempts - 1, scheduled_at = now() where id = \(slow.id)")
      try await bench.run([slow.id], lane: jobs[0].lane, limits: limits)
      #expect(try await bench.job(slow.id).state == .discarded)
    }
  }

  @Test func aRoleThatCannotBeMadeFailsTheJobOfItsDataSource() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("alter role \(bench.target.manager) nocreaterole")
      try await bench.subscribe(ana, to: ["sales.orders"])
      let job = try await bench.compare("orders")
      #expect(job.state == .discarded && job.error?.contains("permission denied") == true, "\(job.error ?? "")")
    }
  }

  @Test func aRoleNameThatCannotBeFailsTheJobOfItsDataSource() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let long = try await bench.addUser(String(repeating: "x", count: 60))
      try await bench.subscribe(long, to: ["sales.orders"])
      let job = try await bench.compare("orders")
      #expect(job.state == .discarded && job.remedy?.contains("sluice user map") == true)
    }
  }

  @Test func aMemberWhoseRoleNameCannotBeFailsTheJobOfItsAudience() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let long = try await bench.addUser(String(repeating: "x", count: 60))
      try await bench.addGroup("analysts", [ana, long])
      try await bench.applyPolicy("analysts-read", "'analysts' in user.groups", schema: "sales")
      let refused = try await bench.evaluate().filter { $0.state == .discarded }
      #expect(refused.map(\.lane.kind) == [.roles])
      #expect(refused.first?.remedy?.contains("sluice user map") == true)
      #expect(try await bench.target.canRead(ana, "sales.orders"), "the others are members")
    }
  }

  @Test func aJobThatCannotBeReadIsCountedAndFailsAlone() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let jobs = try await bench.metadata.transaction { metadata in
        let lane = try await metadata.lane(.roles, of: bench.connection.id).id
        return try await metadata.submit(
          ["", "nobody"].map { JobRequest(lane: lane, kind: .revoke, jobClass: .bulk, scope: .retirement($0)) })
      }
      try await bench.run(jobs.map(\.id), lane: jobs[0].lane)
      #expect(try await bench.job(jobs[0].id).state == .retryable)
      #expect(try await bench.job(jobs[1].id).state == .completed)
    }
  }
}

extension Bench {
  /// Compares one table of the schema for every role.
  fileprivate func compare(_ table: String) async throws -> Job {
    let submitted = try await metadata.transaction { metadata in
      let securable = try await metadata.securable(at: try path("sales", table))
      return try await metadata.submit([
        JobRequest(
          lane: try await metadata.lane(ofDatabase: securable.database).id, kind: .subscribe, jobClass: .bulk,
          scope: .securable(securable.id))
      ])
    }
    try await drain()
    return try await job(submitted[0].id)
  }
}

extension TestTarget {
  /// Lets every GRANT that names this table take longer than anybody waits.
  fileprivate func makeSlow(_ table: String) async throws {
    try await execute(
      """
      create function public.sleep_on_grant() returns event_trigger language plpgsql as $$ begin
        if current_query() like '%"\(table)"%' then perform pg_sleep(60); end if;
      end $$;
      create event trigger sleep_on_grant on ddl_command_start when tag in ('GRANT')
        execute function public.sleep_on_grant()
      """)
  }
}
