import Enforcement
import Metadata
import SluiceTestKit
import Testing

/// Access that is not ours is told, by whatever way it comes and whenever it came. On a server of its own, as sweeps are.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ForeignTests {
  private static let server = Task<TestServer, any Error> { try await TestServer.start(name: "foreign") }

  private static func run(_ body: @Sendable (Bench) async throws -> Void) async throws {
    try await Bench.run(targetServer: try await server.value, body)
  }

  /// Ways to data sources of which cy, who has an account, should have none, and how they are told.
  enum Way: String, CaseIterable, Sendable {
    case everybody, group, become, owner, column, view, function, parent, readAllData, superuser, otherUser

    var script: String {
      switch self {
      case .everybody: "grant select on sales.orders to public"
      case .group: "create role TEAM; grant select on sales.orders to TEAM; grant TEAM to CY, DI"
      case .become: "create role TEAM; grant select on sales.orders to TEAM; alter role CY noinherit; grant TEAM to CY"
      case .owner: "alter table sales.orders owner to CY"
      case .column: "set role OWNER; grant select (v) on sales.orders to CY"
      case .view:
        "create view sales.v as select * from sales.orders; alter view sales.v owner to OWNER; grant select on sales.v to CY"
      case .function:
        """
        create function sales.f() returns bigint security definer begin atomic select count(*) from sales.orders; end;
        alter function sales.f owner to OWNER; revoke execute on function sales.f from public;
        grant execute on function sales.f to CY
        """
      case .parent:
        """
        create table sales.every (id int, v text); alter table sales.every owner to OWNER;
        grant select on sales.every to CY; alter table sales.orders inherit sales.every
        """
      case .readAllData: "grant pg_read_all_data to CY"
      case .superuser: "alter role CY superuser"
      case .otherUser: "grant ANA to CY"
      }
    }

    var entries: [String] {
      switch self {
      case .everybody: [#"SELECT on "sales"."orders" to PUBLIC (public, granted by "OWNER", 2 users)"#]
      case .group: [#"SELECT on "sales"."orders" to CY and 1 other (membership, role "TEAM", granted by "OWNER")"#]
      case .become: [#"SELECT on "sales"."orders" to CY (membership, role "TEAM", granted by "OWNER", after SET ROLE)"#]
      case .owner: [#"ALL on "sales"."orders" to CY (ownership, role "CY")"#]
      case .column: [#"SELECT of columns v on "sales"."orders" to CY (grant, granted by "OWNER")"#]
      case .view: [#"SELECT on "sales"."orders" to CY (view sales.v, granted by "OWNER")"#]
      case .function: [#"EXECUTE on "sales"."orders" to CY (function sales.f(), granted by "OWNER")"#]
      case .parent: [#"SELECT on "sales"."orders" to CY (parent sales.every, granted by "OWNER")"#]
      case .readAllData: [#"SELECT on 2 data sources to CY (predefined role, role "pg_read_all_data")"#]
      case .superuser: ["ALL on 2 data sources to CY (superuser)"]
      case .otherUser:
        [
          #"DELETE, INSERT, SELECT, TRUNCATE, UPDATE on "sales"."items" to CY (membership, role "ANA", granted by "MANAGER")"#,
          #"SELECT on "sales"."items" to CY (membership, role "AUDIENCE", granted by "MANAGER")"#,
          #"SELECT on "sales"."orders" to CY (membership, role "AUDIENCE", granted by "MANAGER")"#,
        ]
      }
    }
  }

  struct Scene: Sendable {
    let bench: Bench
    let words: [(String, String)]

    func named(_ text: String) -> String { words.reduce(text) { $0.replacing($1.0, with: $1.1) } }
    func entries(_ way: Way) -> [String] { way.entries.map { "foreign: " + named($0) } }
    func open(_ way: Way) async throws { try await bench.target.execute(named(way.script)) }

    /// What tests of others, and the end of this one, would stumble over.
    func close() async throws {
      try await bench.target.execute(
        named("drop function if exists sales.f; alter role CY nosuperuser; alter table sales.orders owner to OWNER"))
    }
  }

  /// Ana and bo read through an audience, ana may write items too; cy and di have accounts and should have nothing.
  private static func withScene(_ body: @Sendable (Scene) async throws -> Void) async throws {
    try await run { bench in
      let (ana, _) = try await bench.makePolicy()
      let (cy, di) = (try await bench.addUser("cy"), try await bench.addUser("di"))
      try await bench.target.execute("create role \(cy); create role \(di)")
      try await bench.subscribe(ana, to: ["sales.items"], .write)
      try await bench.drain()
      let audience = try #require(try await bench.audienceRoles().first)
      let scene = Scene(
        bench: bench,
        words: [
          ("OWNER", bench.target.owner), ("MANAGER", bench.target.manager), ("TEAM", "\(bench.target.prefix)_team"),
          ("AUDIENCE", audience), ("ANA", ana), ("CY", cy), ("DI", di),
        ])
      try await body(scene)
      try await scene.close()
    }
  }

  /// Each way in one mode, and some in the other.
  private static func each(in mode: Connection.DriftMode) -> [(Way, Connection.DriftMode)] {
    let others: [Way] = [.everybody, .group, .column, .superuser]
    return Way.allCases.map { ($0, mode) } + others.map { ($0, mode == .repair ? .observe : .repair) }
  }

  @Test(arguments: each(in: .repair))
  func whatWasThereBeforeTheFirstSweepIsTold(way: Way, mode: Connection.DriftMode) async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      try await bench.setDrift(mode)
      #expect(try await bench.drift() == [])
      try await scene.open(way)
      let before = try await bench.target.catalogVersions()
      #expect(try await bench.drift() == scene.entries(way))
      let found = try await bench.sweep()
      #expect(found.entries == scene.entries(way) && found.isWhole && found.asked == 2)
      // Once in the trail, and in each result.
      let again = try await bench.sweep()
      #expect(again.entries == [] && again.toldBefore == way.entries.count && again.asked == 0)
      try await bench.sync()
      // Of a view and of a parent the sync makes data sources, which are told too then.
      let told = try await bench.trail().flatMap { $0.split(separator: "\n").map(String.init) }
      #expect(Array(told.prefix(way.entries.count)) == scene.entries(way) && Set(told).count == told.count)
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  @Test(arguments: each(in: .observe))
  func whatCameSinceTheLastSweepIsTold(way: Way, mode: Connection.DriftMode) async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      try await bench.setDrift(mode)
      // The first may change something that the second looks at again.
      try await bench.sweep()
      try await bench.sweep()
      #expect(try await bench.sweep().asked == 0)
      try await scene.open(way)
      #expect(try await bench.sweep().entries == scene.entries(way))
      #expect(try await bench.sweep().toldBefore == way.entries.count)
    }
  }

  @Test func hundredsOfTablesOpenedAtOnceAreToldForEach() async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      let tables = (1...450).map { "sales.t\($0)" }
      try await bench.target.createTables(tables, columns: "id int")
      try await bench.sync()
      try await bench.sweep()
      try await bench.target.execute("grant select on all tables in schema sales to public")
      let found = try await bench.sweep()
      #expect(!found.isWhole && found.asked == 452)
      #expect(found.entries.count + found.unlisted == 452)
    }
  }

  @Test func whatThereWasNoTimeForIsSaidAndAskedAgain() async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      try await scene.open(.everybody)
      var limits = TargetLimits()
      limits.longestForeignLook = .zero
      let hasty = try await bench.sweep(limits: limits)
      // Four people, two data sources; and what is ana's own.
      #expect(hasty.unasked == 9 && hasty.entries == [])
      let found = try await bench.sweep()
      #expect(found.asked == 2 && found.unasked == 0 && found.entries == scene.entries(.everybody))
    }
  }

  @Test func whoGetsAnAccountIsLookedAt() async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      let ed = "\(bench.target.prefix)_ed"
      try await bench.target.execute(
        "create role \(ed); set role \(bench.target.owner); grant insert on sales.orders to \(ed)")
      #expect(try await bench.sweep().entries == [])
      try await bench.addUser("ed")
      #expect(try await bench.sweep().entries.count == 1)
    }
  }

  @Test func whatSluiceGaveAndIsAboutToTakeIsNotForeign() async throws {
    try await Self.withScene { scene in
      let bench = scene.bench
      let ana = scene.named("ANA")
      let jobs = try await bench.revoke(ana, from: ["sales.items"])
      #expect(!jobs.isEmpty)
      #expect(try await bench.drift() == [])
      try await bench.drain()
      #expect(try await bench.drift() == [])
    }
  }
}
