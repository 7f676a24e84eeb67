import Governance
import Metadata
import Platform
import Postgres
import SluiceTestKit
import Synchronization
import Testing

/// Owners who rename, swap, replace, move and give away tables while Sluice grants on them.
@Suite(.timeLimit(.minutes(3)))
struct StormTests {
  private static let stormers = 3
  private static let batches = 12
  private static let batchSize = 100

  @Test func noTableIsGrantedThatWasNotMeantAndAllIsWellAfterwards() async throws {
    try await Bench.run { bench in
      let storm = try await Storm.make(in: bench)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<Self.stormers { group.addTask { try await storm.rage() } }
        group.addTask { try await storm.watch() }
        group.addTask {
          defer { storm.end() }
          for batch in 0..<Self.batches { try await storm.subscribe(batch, Self.batchSize) }
        }
        try await group.waitForAll()
      }
      try await bench.drain(now: true)
      // The first tells what became of which table; what it asks for has run before the second.
      for _ in 0..<2 { try await bench.sync() }
      try await bench.drain(now: true)
      let (desired, granted) = (try await storm.meantNow(), try await storm.granted())
      #expect(granted.subtracting(desired) == [], "granted, and not meant")
      #expect(desired.subtracting(granted) == [], "meant, and not granted")
      #expect(storm.strays == [], "granted at some moment, and never meant")
      #expect(try await bench.planner.plan(bench.connection).isEmpty)
    }
  }
}

/// Thirty tables in two schemas, whose owners are not idle.
private final class Storm: Sendable {
  private let bench: Bench
  private let users: [String]
  /// The tables of the beginning. Whether one that was made again was meant only the sync after it tells.
  private let tables: Set<String>
  private let state = Mutex(State())

  private struct State {
    var isOver = false
    /// Every pair of a user and a table's OID that was ever subscribed to.
    var meant: Set<String> = []
    var strays: Set<String> = []
  }

  private static let schemas = ["s1", "s2"]
  private static let tablesOfSchema = 15

  private init(bench: Bench, users: [String], tables: Set<String>) {
    self.bench = bench
    self.users = users
    self.tables = tables
  }

  static func make(in bench: Bench) async throws -> Storm {
    for schema in schemas {
      try await bench.target.createSchema(schema)
      try await bench.target.createTables((0..<tablesOfSchema).map { "\(schema).\(schema)_\($0)" })
    }
    try await bench.target.execute("create role \(bench.target.prefix)_other")
    try await bench.sync()
    var users: [String] = []
    for number in 0..<40 { users.append(try await bench.addUser("u\(number)")) }
    let tables = try await bench.target.rows(
      "select oid::text as oid from pg_class where oid >= 16384 and relkind = 'r'")
    return Storm(bench: bench, users: users, tables: Set(try tables.map { try $0.text("oid") }))
  }

  private var isOver: Bool { state.withLock { $0.isOver } }
  var strays: Set<String> { state.withLock { $0.strays } }
  func end() { state.withLock { $0.isOver = true } }

  /// Subscribes users to tables wherever the metadata database knows them now, and runs what is due.
  func subscribe(_ batch: Int, _ count: Int) async throws {
    let known = try await bench.metadata.read { [bench] session in
      try await session.connection.query(
        "select schema, name from data_source where connection_id = $1 and schema = any ($2) order by oid",
        [.int8(bench.connection.id), .textArray(Self.schemas)]
      ).rows.map { (try $0.text("schema"), try $0.text("name")) }
    }
    let requests = try (0..<count).map { number in
      let (schema, name) = known[(batch * 7 + number * 11) % known.count]
      return SubscriptionRequest(
        kind: .subscribe, user: users[(batch * 13 + number) % users.count], path: try bench.path(schema, name),
        access: .read)
    }
    _ = try await bench.apply(requests)
    let meant = try await meantNow()
    state.withLock { $0.meant.formUnion(meant) }
    try await bench.drain()
  }

  func meantNow() async throws -> Set<String> {
    try await bench.metadata.read { [bench] session in
      Set(
        try await session.connection.query(
          "select role || ' ' || oid as pair from desired_access where connection_id = $1", [.int8(bench.connection.id)]
        ).rows.map { try $0.text("pair") })
    }
  }

  func granted() async throws -> Set<String> { try await bench.target.server.withAdmin(bench.target.database, granted) }

  private func granted(in session: PostgresConnection) async throws -> Set<String> {
    Set(
      try await session.query(
        """
        select pg_get_userbyid(x.grantee) || ' ' || c.oid as pair
        from pg_class c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
        where c.relkind = 'r' and x.grantor = $1::regrole and pg_get_userbyid(x.grantee) = any ($2)
        """, [.text(bench.target.manager), .textArray(users)]
      ).rows.map { try $0.text("pair") })
  }

  /// Looks all the time for an entry on a table that nobody meant.
  func watch() async throws {
    try await bench.target.server.withAdmin(bench.target.database) { session in
      while !isOver {
        let granted = try await granted(in: session)
          .filter { tables.contains(String($0.drop { $0 != " " }.dropFirst())) }
        state.withLock { $0.strays.formUnion(granted.subtracting($0.meant)) }
        // no event: commits of others are not told
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  /// One change after another, about a hundred a second, until the storm is over.
  func rage() async throws {
    try await bench.target.server.withAdmin(bench.target.database) { session in
      try await session.execute("set lock_timeout = '1s'; set client_min_messages = error")
      while !isOver {
        do { try await session.execute(try await change(in: session)) } catch let error as PostgresError {
          // Another stormer was faster, or Sluice holds the table: so it goes in a storm.
          guard error.code == .server else { throw error }
          try await session.execute("rollback")
        }
        // no event: the storm's own pace
        try await Task.sleep(for: .milliseconds(8))
      }
    }
  }

  private func change(in session: PostgresConnection) async throws -> String {
    let schema = Self.schemas.randomElement() ?? "s1"
    let rows = try await session.query(
      "select relname as name from pg_class where relnamespace = $1::regnamespace and relkind = 'r' order by random() limit 2",
      [.text(schema)]
    ).rows
    guard rows.count == 2 else { return "select 1" }
    let (one, two) = (try rows[0].text("name"), try rows[1].text("name"))
    let target = bench.target
    switch Int.random(in: 0..<8) {
    case 0...3:
      return """
        begin; alter table \(schema).\(one) rename to between; alter table \(schema).\(two) rename to \(one);
        alter table \(schema).between rename to \(two); commit
        """
    case 4:
      return """
        begin; drop table \(schema).\(one); create table \(schema).\(one) (id int);
        alter table \(schema).\(one) owner to \(target.owner);
        grant select on \(schema).\(one) to \(target.manager) with grant option; commit
        """
    case 5: return "alter table \(schema).\(one) set schema \(Self.schemas.randomElement() ?? "s1")"
    case 6: return "alter table \(schema).\(one) owner to \(target.owner)"
    default: return "alter table \(schema).\(one) owner to \(target.prefix)_other"
    }
  }
}
