import Governance
import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

@testable import Enforcement

/// Runs that are too large for one transaction in the target.
@Suite(.timeLimit(.minutes(2)))
struct ChunkTests {
  @Test func whatIsTooMuchForOneTransactionIsDoneInSeveral() async throws {
    try await Bench.run { bench in
      let (ana, tables) = try await bench.makeMany(450)
      let jobs = try await bench.subscribe(ana, to: tables)
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      let versions = try await bench.target.rows(
        "select distinct xmin::text as xmin from pg_class where relnamespace = 'sales'::regnamespace and relkind = 'r'")
      #expect(versions.count >= 2, "a table is rewritten by the transaction that grants on it")
      let before = try await bench.target.catalogVersions()
      try await bench.subscribe(ana, to: tables)
      try await bench.drain()
      #expect(try await bench.target.catalogVersions() == before)
      #expect(jobs.count == 450)
      try await bench.revoke(ana, from: tables)
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [], "the prerequisites left with the last transaction")
    }
  }

  /// The desired state of each transaction is read under its own lock.
  @Test func aRevokeBetweenTwoTransactionsOfARunIsNotUndone() async throws {
    try await Bench.run { bench in
      let (ana, tables) = try await bench.makeMany(250)
      let jobs = try await bench.subscribe(ana, to: tables)
      let (making, between) = (try await bench.admin(), try await bench.admin())
      try await making.execute("begin; create role \(ana)")
      async let results = bench.run(jobs.map(\.id), lane: jobs[0].lane)
      try await bench.waitForLock(of: bench.target.manager)
      // Next in the queue for the lane's lock, before the run asks for it again.
      async let taken: Void = between.takeLaneLock()
      try await bench.waitForLock(of: "postgres")
      try await making.execute("rollback")
      try await taken
      try await bench.waitForLock(of: bench.target.manager)
      let last = try #require(tables.last)
      try await bench.revoke(ana, from: [last])
      try await between.execute("commit")
      #expect(try await results.allSatisfy { $0.outcome == .completed })
      #expect(try await bench.target.canRead(ana, tables[0]))
      #expect(try await bench.target.canRead(ana, last) == false)
      for session in [making, between] { await session.close() }
    }
  }

  @Test func aTransactionThatIsTooMuchForTheServerIsCutUntilItIsNot() async throws {
    try await Bench.run { bench in
      let (ana, tables) = try await bench.makeMany(90)
      try await bench.target.execute(
        """
        create function public.refuse() returns event_trigger language plpgsql as $$ begin
          if length(current_query()) > 800 then
            raise exception 'out of shared memory' using errcode = '53200';
          end if;
        end $$;
        create event trigger refuse on ddl_command_start when tag in ('GRANT') execute function public.refuse()
        """)
      try await bench.subscribe(ana, to: tables)
      let jobs = try await bench.drain()
      #expect(jobs.count == 90 && jobs.allSatisfy { $0.state == .completed })
    }
  }

  @Test func manyGranteesOfOneTableAreMoreThanOneTransaction() {
    let table = SecurableOID(family: .table, oid: 1)
    let grants = Set(
      (0..<2000).compactMap { number in
        // best effort: these names are valid
        (try? RoleName("r\(number)")).map { Grant(grantee: $0, securable: table, privilege: .select) }
      })
    var left = GrantPlan(grants: grants)
    var transactions = 0
    while !left.isEmpty {
      let part = left.limited(roles: 2000, locksTables: true)
      #expect(Set(part.grants.map(\.grantee)).count < 1000)
      left.grants.subtract(part.grants)
      transactions += 1
    }
    #expect(transactions == 3)
  }

  /// Who is to hold a table in another way holds it until then: the audience's revoke must not commit before the last of
  /// its former members' grants. What nobody takes the place of goes first.
  @Test func aTableIsTakenAwayOnlyWhenAllThatIsGrantedOnItIs() throws {
    let (shared, other) = (SecurableOID(family: .table, oid: 1), SecurableOID(family: .table, oid: 2))
    func grant(_ role: String, _ table: SecurableOID) throws -> Grant {
      Grant(grantee: try RoleName(role), securable: table, privilege: .select)
    }
    var left = GrantPlan(
      revokes: [try grant("audience", shared), try grant("audience", other), try grant("leaver", other)],
      grants: Set(try (0..<2000).map { try grant("r\($0)", shared) }))
    let first = left.limited(roles: 2000, locksTables: true)
    #expect(first.revokes == [try grant("leaver", other)], "nothing is granted on that table")
    while !left.grants.isEmpty {
      let part = left.limited(roles: 2000, locksTables: true)
      left.grants.subtract(part.grants)
      left.revokes.subtract(part.revokes)
      #expect(left.revokes.contains(try grant("audience", shared)) || left.grants.isEmpty)
    }
    left.revokes.subtract(left.limited(roles: 2000, locksTables: true).revokes)
    #expect(left.isEmpty)
  }

  @Test(arguments: [170_010, 180_006])
  func transactionsGrowTowardsTheirTimeAndShrinkAtOnce(serverVersion: Int) {
    var pace = ChunkPace(target: .milliseconds(250), serverVersion: serverVersion)
    let first = pace.limit
    pace.note(first, took: .milliseconds(150))
    #expect(pace.limit > first && pace.limit < first * 2)
    pace.note(pace.limit, took: .milliseconds(300))
    #expect(pace.limit < first * 2, "that was long enough")
    for _ in 0..<20 { pace.note(pace.limit, took: .milliseconds(50)) }
    let most = pace.limit
    #expect(most >= first * 2 && most <= ChunkPace.maximum)
    if serverVersion >= 180_000 { #expect(most * 2 < ChunkPace.maximumLocks, "with a sequence each") }
    pace.note(pace.limit, took: .seconds(2))
    #expect(pace.limit == most / 2)
    pace.noteFailure(of: pace.limit, isSlow: false)
    #expect(pace.limit == most / 4)
    for _ in 0..<20 { pace.noteFailure(of: pace.limit, isSlow: true) }
    #expect(pace.limit == 1)
    pace.note(1, took: .milliseconds(5))
    #expect(pace.limit == 2)
    pace.note(1, took: .milliseconds(5))
    #expect(pace.limit == 2, "it was not full")
  }
}

extension Bench {
  /// So many tables `sales.t…`, synced, and a user without anything.
  fileprivate func makeMany(_ count: Int) async throws -> (user: String, tables: [String]) {
    let tables = (1000..<1000 + count).map { "sales.t\($0)" }
    try await target.createSchema("sales")
    try await target.createTables(tables, columns: "v text")
    try await sync()
    return (try await addUser("ana"), tables)
  }

  fileprivate func admin() async throws -> PostgresConnection { try await target.server.admin(target.database) }

  fileprivate func waitForLock(of role: String) async throws {
    while try await target.rows(
      "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock' and datname = current_database()",
      [.text(role)]
    ).isEmpty {
      // no event: the server tells nobody that a session waits
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}

extension PostgresConnection {
  /// The lock that a run in a database holds: "SLUI" in ASCII, and 2.
  fileprivate nonisolated func takeLaneLock() async throws {
    try await execute("begin; select pg_advisory_xact_lock(\(0x534C_5549), 2)")
  }
}
