import Enforcement
import Foundation
import Metadata
import SluiceTestKit
import Testing

/// What a sweep finds, and what becomes of it. One test after the other on a server of their own: while somebody else's
/// transaction is open there, a sweep does not know what was changed before it.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct SweepTests {
  private static let server = Task<TestServer, any Error> { try await TestServer.start(name: "sweeps") }

  private static func run(_ body: @Sendable (Bench) async throws -> Void) async throws {
    try await Bench.run(targetServer: try await server.value, body)
  }

  /// What somebody does behind our back, and how a sweep tells it.
  enum Meddling: String, CaseIterable, Sendable {
    case grantOfAnAudienceLost, grantOfAUserLost, privilegeTooMany, memberLost, memberAdded, optionChanged, usageLost,
      connectLost, audienceRenamed

    func script(_ scene: Scene) -> String {
      switch self {
      case .grantOfAnAudienceLost: "set role \(scene.manager); revoke select on sales.orders from \(scene.audience)"
      case .grantOfAUserLost: "set role \(scene.manager); revoke delete on sales.items from \(scene.ana)"
      case .privilegeTooMany: "set role \(scene.manager); grant insert on sales.items to \(scene.audience)"
      case .memberLost: "set role \(scene.policyRole); revoke \(scene.audience) from \(scene.ana)"
      case .memberAdded: "set role \(scene.policyRole); grant \(scene.audience) to \(scene.cy)"
      case .optionChanged: "set role \(scene.policyRole); grant \(scene.audience) to \(scene.ana) with set true"
      case .usageLost: "set role \(scene.manager); revoke usage on schema sales from \(scene.audience)"
      case .connectLost:
        "set role \(scene.manager); revoke connect on database \(scene.database) from \(scene.audience)"
      case .audienceRenamed: "alter role \(scene.audience) rename to \(scene.cy)_2"
      }
    }

    func entry(_ scene: Scene) -> String {
      switch self {
      case .grantOfAnAudienceLost: "lost: SELECT on \"sales\".\"orders\" to \(scene.audience)"
      case .grantOfAUserLost: "lost: DELETE on \"sales\".\"items\" to \(scene.ana)"
      case .privilegeTooMany: "surplus: INSERT on \"sales\".\"items\" to \(scene.audience)"
      case .memberLost: "lost: membership on role \"\(scene.audience)\" to \(scene.ana)"
      case .memberAdded: "surplus: membership on role \"\(scene.audience)\" to \(scene.cy)"
      case .optionChanged: "changed: membership on role \"\(scene.audience)\" to \(scene.ana)"
      case .usageLost: "lost: USAGE on schema \"sales\" to \(scene.audience)"
      case .connectLost: "lost: CONNECT on database \"\(scene.database)\" to \(scene.audience)"
      case .audienceRenamed: "changed: name on role \"\(scene.audience)\" to \(scene.cy)_2"
      }
    }
  }

  struct Scene: Sendable {
    let ana: String
    let cy: String
    let audience: String
    let manager: String
    let policyRole: String
    let database: String
  }

  @Test(arguments: Meddling.allCases, [Connection.DriftMode.repair, .observe])
  func aSweepMendsDriftOrOnlyTellsIt(meddling: Meddling, mode: Connection.DriftMode) async throws {
    try await Self.run { bench in
      guard meddling != .optionChanged || bench.target.server.hasMembershipOptions else { return }
      let scene = try await bench.makeScene()
      try await bench.setDrift(mode)
      // Marks up to where everything was compared.
      try await bench.sweep()
      try await bench.target.execute(meddling.script(scene))
      let before = try await bench.target.catalogVersions()
      let found = try await bench.sweep()
      // A database that is compared as a whole misses what a role of the old name had.
      func told(_ entries: [String]) -> [String] {
        entries.filter { meddling != .audienceRenamed || !$0.hasPrefix("lost") }
      }
      #expect(told(found.entries) == [meddling.entry(scene)])
      #expect(told(try await bench.trail()) == [meddling.entry(scene)])
      #expect(found.repaired == (mode == .repair ? 1 : 0))
      let after = try await bench.target.catalogVersions()
      #expect((after == before) == (mode == .observe || meddling == .audienceRenamed))
      #expect(try await bench.drift().isEmpty == (mode == .repair))
      guard mode == .observe else { return }
      try await bench.sweep()
      try await bench.sync()
      #expect(told(try await bench.trail()) == [meddling.entry(scene)], "what is told is told once")
      try await bench.setDrift(.repair)
      try await bench.sweep()
      #expect(try await bench.drift() == [], "and mended when that is asked for")
    }
  }

  @Test(arguments: [Connection.DriftMode.repair, .observe])
  func whatOthersGrantIsToldAndStays(mode: Connection.DriftMode) async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.setDrift(mode)
      try await bench.sweep()
      let owner = bench.target.owner
      try await bench.target.execute("set role \(owner); grant select on sales.items to \(scene.cy)")
      let before = try await bench.target.catalogVersions()
      let text = "foreign: SELECT on \"sales\".\"items\" to \(scene.cy) (grant, granted by \"\(owner)\")"
      #expect(try await bench.sweep().entries == [text])
      #expect(try await bench.trail() == [text])
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  @Test func aTableThatWasMadeAgainIsFoundAndGrantedAgain() async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.sweep()
      try await bench.target.execute("drop table sales.orders")
      try await bench.target.createTables(["sales.orders"])
      #expect(try await bench.target.canRead(scene.ana, "sales.orders") == false)
      try await bench.sweep()
      #expect(try await bench.target.canRead(scene.ana, "sales.orders"))
    }
  }

  @Test func aChangedOwnerIsLookedAtAndChangesNothing() async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.sweep()
      try await bench.target.execute("alter table sales.orders owner to \(scene.cy)")
      let before = try await bench.target.catalogVersions()
      let found = try await bench.sweep()
      #expect(found.entries.map { $0.hasPrefix("foreign: ALL on \"sales\".\"orders\" to \(scene.cy)") } == [true])
      #expect(found.examined > 0)
      #expect(try await bench.target.catalogVersions() == before)
      #expect(try await bench.target.canRead(scene.ana, "sales.orders"))
      try await bench.target.execute("alter table sales.orders owner to \(bench.target.owner)")
    }
  }

  @Test func nothingIsReadOrWrittenWhereNothingHasChanged() async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.sweep()
      let before = try await bench.target.catalogVersions()
      let found = try await bench.sweep()
      #expect(found.examined == 0 && !found.isWhole && found.entries.isEmpty)
      #expect(try await bench.target.catalogVersions() == before)
      // One table: that one alone.
      try await bench.target.execute("set role \(scene.manager); revoke select on sales.orders from \(scene.audience)")
      #expect(try await bench.sweep().examined == 1)
    }
  }

  @Test func aTransactionThatWasOpenDuringASweepIsSeenByTheNext() async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.sweep()
      try await bench.target.server.withAdmin(bench.target.database) { session in
        // As a subtransaction, whose number no snapshot shows.
        try await session.execute(
          "begin; create temp table begun (); savepoint s; set role \(scene.manager);"
            + "revoke select on sales.orders from \(scene.audience)")
        // One that begins later has ended before the sweep.
        try await bench.target.execute("select pg_current_xact_id()")
        try await bench.sweep()
        try await session.execute("commit")
      }
      #expect(try await bench.target.canRead(scene.ana, "sales.orders") == false)
      #expect(try await bench.sweep().entries.count == 1)
      #expect(try await bench.target.canRead(scene.ana, "sales.orders"))
    }
  }

  /// By then nothing has changed that a sweep would see; and meanwhile there is one dead letter, not one a sweep.
  @Test func whatCouldNotBeMendedIsMendedOnceItCan() async throws {
    try await Self.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.sweep()
      try await bench.target.execute(
        """
        set role \(bench.target.manager); revoke select on sales.orders from \(ana); reset role;
        create function refuse() returns event_trigger language plpgsql as $$ begin raise 'not now'; end $$;
        create event trigger refuse on ddl_command_start when tag in ('GRANT') execute function refuse()
        """)
      #expect(try await bench.sweep(isMended: false).repaired == 0)
      #expect(try await bench.sweep().repaired == 0)
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.target.execute("drop event trigger refuse; drop function refuse")
      #expect(try await bench.sweep().repaired == 1)
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func whatASyncComparesIsOnlyToldToo() async throws {
    try await Self.run { bench in
      let scene = try await bench.makeScene()
      try await bench.setDrift(.observe)
      try await bench.target.execute("set role \(scene.manager); revoke select on sales.orders from \(scene.audience)")
      try await bench.sync()
      #expect(try await bench.trail() == [Meddling.grantOfAnAudienceLost.entry(scene)])
      #expect(try await bench.target.canRead(scene.ana, "sales.orders") == false)
      // What somebody asks for is done.
      try await bench.subscribe(scene.cy, to: ["sales.items"])
      try await bench.drain()
      #expect(try await bench.target.canRead(scene.cy, "sales.items"))
    }
  }
}

extension Bench {
  /// What the last sweep told.
  struct Swept {
    var entries: [String] = []
    var repaired = 0
    var examined = 0
    var isWhole = true
    /// Data sources that were asked for foreign access, and pairs that there was no time for.
    var asked = 0
    var unasked = 0
    var toldBefore = 0
    var unlisted = 0
  }

  /// Sweeps every lane, and runs what follows.
  ///
  /// - Parameters:
  ///   - limits: other limits than the bench's for the jobs of databases
  ///   - isMended: false where what is found in the main database cannot be mended
  @discardableResult
  func sweep(limits: TargetLimits? = nil, isMended: Bool = true) async throws -> Swept {
    let submitted = try await metadata.transaction { try await $0.submitSweep(of: self.connection.id) }
    if let limits {
      for job in submitted where try await self.job(job.id).lane.kind == .database {
        try await run([job.id], lane: try await self.job(job.id).lane.id, limits: limits)
      }
    }
    try await drain()
    var jobs: [Job] = []
    for job in submitted { jobs.append(try await self.job(job.id)) }
    var swept = Swept()
    for job in jobs {
      let expected: JobState = isMended || job.lane.databaseName != target.database ? .completed : .discarded
      #expect(job.state == expected, "\(job.error ?? "")")
      let object = try JSONSerialization.jsonObject(with: Data((job.result ?? "").utf8))
      let result = try #require(object as? [String: Any])
      for finding in ["lost", "surplus", "changed", "foreign"] {
        swept.entries += result[finding] as? [String] ?? []
      }
      swept.repaired += result["repaired"] as? Int ?? 0
      swept.examined += result["examined"] as? Int ?? 0
      swept.asked += result["asked"] as? Int ?? 0
      swept.unasked += result["unasked"] as? Int ?? 0
      swept.toldBefore += result["told_before"] as? Int ?? 0
      swept.unlisted += result["unlisted"] as? Int ?? 0
      if job.lane.kind == .database { swept.isWhole = result["whole"] as? Bool ?? true }
    }
    return swept
  }

  /// What the audit trail tells of drift.
  func trail() async throws -> [String] {
    try await metadata.read { session in
      try await session.connection.query(
        """
        select coalesce(detail ->> 'lost', detail ->> 'surplus', detail ->> 'changed', detail ->> 'foreign') as entry
        from audit where action = 'drift' order by id
        """
      ).rows.map { try $0.text("entry") }
    }
  }

  func setDrift(_ mode: Connection.DriftMode) async throws {
    _ = try await metadata.transaction { session in
      var changed = try await session.connection(id: self.connection.id)
      changed.driftMode = mode
      return try await session.update(changed)
    }
  }

  /// An audience that may read two tables, a member with more than that, and somebody who has nothing.
  func makeScene() async throws -> SweepTests.Scene {
    let (ana, _) = try await makePolicy()
    let cy = try await addUser("cy")
    try await target.execute("create role \(cy)")
    try await subscribe(ana, to: ["sales.items"], .write)
    try await drain()
    let audiences = try await audienceRoles()
    return SweepTests.Scene(
      ana: ana, cy: cy, audience: try #require(audiences.first), manager: target.manager,
      policyRole: try await policyRole(), database: target.database)
  }
}
