import Metadata
import Postgres
import SluiceTestKit
import Testing

/// What a user's session is in the middle of when its access is taken.
@Suite(.timeLimit(.minutes(2)))
struct SessionTests {
  /// Why Sluice may end the user's sessions, or may not.
  enum Right: CaseIterable {
    /// It made the role, and so administers it.
    case made
    /// It may signal all sessions but those of superusers.
    case signal
    case none
  }

  @Test func anOpenCursorOutlivesARevoke() async throws {
    try await Self.withCursor(.made) { bench, ana, session in
      try await bench.revoke(ana, from: ["sales.orders"])
      let job = try #require(try await bench.drain().last)
      #expect(try await session.query("fetch 1 from c").rows.count == 1)
      #expect(job.result?.contains("sessions") == false, "\(job.result ?? "")")
    }
  }

  @Test(arguments: [Right.made, .signal])
  func aRevokeEndsTheSessionsWhereThatIsWished(right: Right) async throws {
    try await Self.withCursor(right) { bench, ana, session in
      let before = try await Self.memberships(bench.target)
      // Nobody coalesces the wish away.
      try await bench.revoke(ana, from: ["sales.orders"])
      try await Self.revoke(ana, bench)
      let results = try await bench.drain().compactMap(\.result)
      #expect(results.contains { $0.contains(#""sessions_ended": 1"#) }, "\(results)")
      await #expect(throws: PostgresError.self) { try await session.query("fetch 1 from c") }
      #expect(try await Self.memberships(bench.target) == before)
      let trail = try await bench.metadata.read { session in
        try await session.connection.query(
          "select actor, identity, detail ->> 'ended' as ended from audit where action = 'end sessions'"
        ).rows
      }
      #expect(try trail.map { try $0.text("ended") } == ["1"])
      #expect(try trail.map { try $0.text("identity") } == [ana])
    }
  }

  @Test func whoMayNotEndSessionsIsToldWhatIsMissing() async throws {
    try await Self.withCursor(.none) { bench, ana, session in
      // There CREATEROLE is enough.
      guard bench.target.server.hasMembershipOptions else { return }
      try await Self.revoke(ana, bench)
      let job = try #require(try await bench.drain().last)
      #expect(job.state == .completed)
      #expect(job.result?.contains("Sluice's role needs pg_signal_backend") == true, "\(job.result ?? "")")
      #expect(try await session.query("fetch 1 from c").rows.count == 1)
    }
  }

  /// Of a table with very many subscribers the roles lane takes the access away, whenever it comes to that: whoever
  /// connects until then reads, and would read on.
  @Test func sessionsEndOnceTheMembershipIsGoneToo() async throws {
    try await Self.withCursor(.made) { bench, ana, session in
      try await bench.subscribeAll(try await bench.addUsers(201), to: "sales.orders")
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == [])
      let jobs = try await Self.revoke(ana, bench)
      #expect(jobs.count == 2)
      let results = try await bench.run([jobs[0].id], lane: jobs[0].lane)
      #expect(try await bench.job(jobs[0].id).state == .scheduled, "\(results)")
      #expect(try await bench.target.canRead(ana, "sales.orders"))
      #expect(try await session.query("fetch 1 from c").rows.count == 1)
      try await bench.run([jobs[1].id], lane: jobs[1].lane)
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.drain(now: true)
      let job = try await bench.job(jobs[0].id)
      #expect(job.state == .completed && job.attempt == 1)
      #expect(job.result?.contains(#""sessions_ended": 1"#) == true, "\(job.result ?? "")")
      await #expect(throws: PostgresError.self) { try await session.query("fetch 1 from c") }
    }
  }

  /// A job that failed takes nothing away.
  @Test func noSessionWaitsForAMembershipThatNobodyTakesAway() async throws {
    try await Self.withCursor(.made) { bench, ana, session in
      try await bench.subscribeAll(try await bench.addUsers(201), to: "sales.orders")
      try await bench.drain()
      let jobs = try await Self.revoke(ana, bench)
      try await bench.execute(
        "update job set state = 'cancelled', finished_at = now(), open_key = null where id = \(jobs[1].id)")
      let results = try await bench.run([jobs[0].id], lane: jobs[0].lane)
      #expect(results.map(\.outcome) == [.completed], "\(results)")
      await #expect(throws: PostgresError.self) { try await session.query("fetch 1 from c") }
    }
  }

  @Test func sessionsInOtherDatabasesGoOn() async throws {
    try await Self.withCursor(.made) { bench, ana, _ in
      try await bench.target.execute("grant connect on database \(bench.target.otherDatabase) to \(ana)")
      let other = try await Self.connect(as: ana, to: bench.target.otherDatabase, bench)
      try await Self.revoke(ana, bench)
      try await bench.drain()
      #expect(try await other.query("select 1 as one").rows.count == 1)
      await other.close()
    }
  }

  @discardableResult
  private static func revoke(_ user: String, _ bench: Bench) async throws -> [SubmittedJob] {
    try await bench.apply([
      SubscriptionRequest(
        kind: .revoke, user: user, path: try bench.path("sales", "orders"), endsSessions: true)
    ])
  }

  /// Every membership of the instance's test roles, with who wrote it.
  private static func memberships(_ target: TestTarget) async throws -> [String] {
    try await target.rows(
      """
      select m.roleid::regrole || ' ' || m.member::regrole || ' ' || m.grantor::regrole || ' ' || m.xmin as text
      from pg_auth_members m where starts_with(m.member::regrole::text, '\(target.prefix)') order by 1
      """
    ).map { try $0.text("text") }
  }

  private static func connect(as user: String, to database: String, _ bench: Bench) async throws -> PostgresConnection {
    var configuration = bench.target.server.configuration(database: database)
    configuration.user = user
    return try await PostgresConnection.connect(configuration)
  }

  /// A user who reads `sales.orders` through a cursor.
  private static func withCursor(
    _ right: Right, _ body: @Sendable (Bench, String, PostgresConnection) async throws -> Void
  ) async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      if right != .made { try await bench.target.execute("create role \(ana)") }
      if right == .signal { try await bench.target.execute("grant pg_signal_backend to \(bench.target.manager)") }
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.target.execute("alter role \(ana) login; insert into sales.orders (v) values ('a'), ('b'), ('c')")
      let session = try await connect(as: ana, to: bench.target.database, bench)
      _ = try await session.execute("begin; declare c cursor for select v from sales.orders; fetch 1 from c")
      do { try await body(bench, ana, session) } catch {
        await session.close()
        throw error
      }
      await session.close()
    }
  }
}
