import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Testing

/// Random desired states over random grants that are there already: after a run the target is as desired, and what is
/// not Sluice's is as it was.
@Suite(.timeLimit(.minutes(3)))
struct ConvergenceTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func theTargetFollowsWhateverIsDesiredAndTheRestStays(seed: UInt64) async throws {
    try await Bench.run { bench in
      var world = try await World.make(seed, in: bench)
      try await world.scatterForeignGrants()
      let foreign = try await world.foreignGrants()
      for _ in 0..<6 {
        try await world.changeTheDesiredState()
        let jobs = try await bench.drain(now: true)
        #expect(jobs.allSatisfy { $0.state == .completed }, "\(jobs.compactMap(\.error))")
        try await world.driftAway()
        try await world.compareEverything()
        #expect(try await world.observed() == world.desired)
        #expect(try await world.foreignGrants() == foreign)
        let plans = try await bench.planner.plan(bench.connection)
        #expect(plans.isEmpty, "\(plans.flatMap(\.statements))")
      }
    }
  }
}

private struct World {
  struct Pair: Hashable {
    let user: String
    let table: String
  }

  let bench: Bench
  let users: [String]
  let tables: [String]
  var desired: [Pair: AccessLevel] = [:]
  var generator: Splitmix

  static func make(_ seed: UInt64, in bench: Bench) async throws -> World {
    let tables = ["sales.a", "sales.b", "sales.c", "hr.d", "hr.e"]
    for schema in ["sales", "hr"] { try await bench.target.createSchema(schema) }
    try await bench.target.createTables(tables)
    try await bench.sync()
    var users: [String] = []
    for name in ["u0", "u1", "u2", "u3"] { users.append(try await bench.addUser(name)) }
    return World(bench: bench, users: users, tables: tables, generator: Splitmix(state: seed))
  }

  private mutating func somePair() -> Pair {
    Pair(
      user: users.randomElement(using: &generator) ?? "", table: tables.randomElement(using: &generator) ?? "")
  }

  mutating func changeTheDesiredState() async throws {
    for _ in 0..<8 {
      let pair = somePair()
      switch Int.random(in: 0..<4, using: &generator) {
      case 0:
        try await bench.subscribe(pair.user, to: [pair.table], .read)
        desired[pair] = .read
      case 1:
        try await bench.subscribe(pair.user, to: [pair.table], .write)
        desired[pair] = .write
      case 2:
        try await bench.revoke(pair.user, from: [pair.table], .write)
        if desired[pair] == .write { desired[pair] = .read }
      default:
        try await bench.revoke(pair.user, from: [pair.table])
        desired[pair] = nil
      }
    }
  }

  /// What other people grant: by another grantor, of other privileges, to other roles.
  mutating func scatterForeignGrants() async throws {
    let stranger = "\(bench.target.prefix)_stranger"
    try await bench.target.execute(
      "create role \(stranger);" + users.map { "create role \($0);" }.joined())
    for _ in 0..<6 {
      let pair = somePair()
      try await bench.target.execute(
        """
        set role \(bench.target.owner);
        grant references, trigger on \(pair.table) to \(pair.user);
        grant select, insert on \(pair.table) to \(stranger)
        """)
    }
  }

  /// Somebody takes away what Sluice gave.
  mutating func driftAway() async throws {
    guard
      let pair = desired.keys.sorted(by: { ($0.user, $0.table) < ($1.user, $1.table) }).randomElement(using: &generator)
    else { return }
    try await bench.target.execute("set role \(bench.target.manager); revoke all on \(pair.table) from \(pair.user)")
  }

  func compareEverything() async throws {
    try await bench.metadata.transaction { session in
      for user in users { try await session.submitGrantee(user, on: bench.connection.id, isLoss: false) }
    }
    try await bench.drain(now: true)
  }

  /// The level of each user on each table that the manager's grants come to; other combinations are no level.
  func observed() async throws -> [Pair: AccessLevel] {
    let rows = try await bench.target.rows(
      """
      select r.rolname as role, c.oid::regclass::text as name, string_agg(x.privilege_type, ' ' order by 1) as privileges
      from pg_class c cross join lateral aclexplode(c.relacl) x join pg_roles r on r.oid = x.grantee
      where x.grantor = $1::regrole and c.relkind = 'r' group by 1, 2
      """, [.text(bench.target.manager)])
    var levels: [Pair: AccessLevel] = [:]
    for row in rows {
      let privileges = Set(try row.text("privileges").split(separator: " ").map(String.init))
      let pair = Pair(user: try row.text("role"), table: try row.text("name"))
      if privileges == ["SELECT"] {
        levels[pair] = .read
      } else if privileges == ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
        levels[pair] = .write
      } else {
        Issue.record("\(pair) has \(privileges)")
      }
    }
    return levels
  }

  func foreignGrants() async throws -> [String] {
    try await bench.target.rows(
      """
      select c.oid::regclass || ' ' || x.grantee::regrole || ' ' || x.privilege_type as entry
      from pg_class c cross join lateral aclexplode(c.relacl) x
      where c.oid >= 16384 and x.grantor <> $1::regrole and x.grantee <> $1::regrole order by 1
      """, [.text(bench.target.manager)]
    ).map { try $0.text("entry") }
  }
}

/// SplitMix64: the same numbers for a seed on every machine.
private struct Splitmix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
