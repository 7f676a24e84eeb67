import Metadata
import Postgres
import RandomTestKit
import SluiceTestKit
import Testing

@testable import Enforcement

/// Against the server's own word: a role has some privilege, as itself or as a role that it may become, exactly where a
/// route is told.
@Suite(.timeLimit(.minutes(2)))
struct ResidualOracleTests {
  private static let roles = 6
  private static let tables = 5

  @Test(arguments: 1...12 as ClosedRange<UInt64>)
  func aRouteIsToldWhereThereIsAPrivilege(seed: UInt64) async throws {
    let target = try await TestTarget.make()
    try await Self.fill(target, seed)
    let oracle = try await Self.oracle(target)
    let routes = try await target.server.withAdmin(target.database) { session in
      try await ResidualAccess.routes(oracle.map { ($0.role, $0.oid, UInt32($0.oid)) }, in: session)
    }.filter { $0.object == nil && $0.isCertain && $0.how != "admin" }
    for pair in oracle {
      let told = routes.filter { $0.role == pair.role && $0.securable == pair.oid }
      #expect(told.isEmpty == !pair.has, "seed \(seed): \(pair) \(told.map(\.text))")
      #expect(told.contains(where: \.isEffective) == pair.isEffective, "seed \(seed): \(pair) \(told.map(\.text))")
    }
    #expect(oracle.contains(where: \.has) && oracle.contains { !$0.has }, "seed \(seed): the world says nothing")
    try await target.remove()
  }

  /// What the look after leaving rests on: who is alike reaches the same relations.
  @Test(arguments: 101...112 as ClosedRange<UInt64>)
  func rolesThatAreAlikeReachTheSame(seed: UInt64) async throws {
    let target = try await TestTarget.make()
    try await Self.fill(target, seed, roles: 12)
    let pairs = try await Self.oracle(target)
    let roles = Set(pairs.map(\.role)).sorted()
    let audiences = Array(roles.prefix(1))
    let (groups, routes) = try await target.server.withAdmin(target.database) { session in
      (
        try await ResidualLook.alike(roles, apartFrom: audiences, in: session),
        try await ResidualAccess.routes(
          pairs.map { ($0.role, $0.oid, UInt32($0.oid)) }, apartFrom: audiences, in: session)
      )
    }
    #expect(groups.flatMap(\.self).sorted() == roles)
    for group in groups {
      let reached = group.map { role in Set(routes.filter { $0.role == role }.map(\.securable)) }
      #expect(Set(reached).count == 1, "seed \(seed): \(zip(group, reached).map { ($0, $1) })")
    }
    try await target.remove()
  }

  /// What drift rests on: asked together, through one of those who are alike, people reach what each reaches alone.
  @Test(arguments: 201...208 as ClosedRange<UInt64>)
  func foreignAccessIsTheSameForPeopleTogetherAndAlone(seed: UInt64) async throws {
    try await Bench.run { bench in
      try await Self.fill(bench.target, seed)
      try await bench.sync()
      let pairs = try await Self.oracle(bench.target)
      let roles = Set(pairs.map(\.role)).sorted()
      let together = try await bench.foreign(to: roles)
      var alone: [Told: Int] = [:]
      for role in roles {
        let told = try await bench.foreign(to: [role])
        #expect(told.values.allSatisfy { $0 == 1 }, "seed \(seed): \(told)")
        for way in told.keys { alone[way, default: 0] += 1 }
        let oids = Set(pairs.filter { $0.role == role && $0.has }.map(\.oid))
        let names = try await bench.target.rows(
          "select format('%I.%I', relnamespace::regnamespace::text, relname) as name from pg_class where oid = any ($1)",
          [.int8Array(Array(oids))]
        ).map { "\"" + (try $0.text("name")).replacing(".", with: "\".\"") + "\"" }
        let places = Set(told.keys.map(\.place))
        #expect(
          places.contains("data sources") || places.isSuperset(of: names), "seed \(seed): \(role) \(told) \(names)")
        #expect(!oids.isEmpty || told.keys.allSatisfy(\.isDoubtful), "seed \(seed): \(role) \(told)")
      }
      let other = Set(together.keys).union(alone.keys).filter { together[$0] != alone[$0] }
      #expect(other.isEmpty, "seed \(seed): \(other.map { ($0, together[$0], alone[$0]) })")
    }
  }

  /// A way of access, whomever it is told of.
  fileprivate struct Told: Hashable {
    let place: String
    let privileges: String
    let way: String
    /// After a GRANT that the person may make to itself; or only possible.
    let isDoubtful: Bool
  }

  private struct Pair {
    let role: String
    let oid: Int64
    let has: Bool
    let isEffective: Bool
  }

  private static func oracle(_ target: TestTarget) async throws -> [Pair] {
    try await target.rows(
      """
      select r.rolname as role, c.oid::bigint as oid, bool_or(p.has) as has,
        bool_or(p.has and has_schema_privilege(a.oid, c.relnamespace, 'USAGE'))
          and has_database_privilege(r.oid, current_database(), 'CONNECT') as is_effective
      from pg_roles r cross join pg_class c join pg_roles a
          on pg_has_role(r.oid, a.oid, '\(target.server.hasMembershipOptions ? "SET" : "MEMBER")')
        cross join lateral (
          select has_table_privilege(a.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
            or has_any_column_privilege(a.oid, c.oid, 'SELECT, INSERT, UPDATE') as has) p
      where starts_with(r.rolname, '\(target.prefix)_r') and c.relnamespace::regnamespace::text in ('one', 'two')
      group by r.oid, r.rolname, c.oid, c.relnamespace
      """
    ).map { row in
      Pair(
        role: try row.text("role"), oid: try row.int("oid"), has: try row.bool("has"),
        isEffective: try row.bool("is_effective"))
    }
  }

  /// A small world: a few roles, who is a member of whom and how, what they own and hold.
  private static func fill(_ target: TestTarget, _ seed: UInt64, roles count: Int = roles) async throws {
    var random = SeededGenerator(seed: seed)
    let roles = (0..<count).map { "\(target.prefix)_r\($0)" }
    let others = roles + ["public"]
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    func one(_ of: [String]) -> String { of[Int.random(in: 0..<of.count, using: &random)] }
    var script = roles.map { "create role \($0) \(chance(70) ? "inherit" : "noinherit")" }
    for (index, member) in roles.enumerated() {
      for role in roles[..<index] where chance(45) {
        let options =
          target.server.hasMembershipOptions
          ? " with inherit \(chance(50)), set \(chance(50)), admin \(chance(10))"
          : chance(20) ? " with admin option" : ""
        script.append("grant \(role) to \(member)\(options)")
      }
    }
    script += ["create schema one", "create schema two"]
    for index in 0..<tables {
      let table = "\(chance(50) ? "one" : "two").t\(index)"
      script.append("create table \(table) (id int, v text)")
      if chance(60) { script.append("alter table \(table) owner to \(one(roles))") }
      for _ in 0..<2 where chance(40) {
        script.append("grant \(one(["select", "insert", "truncate", "references"])) on \(table) to \(one(others))")
      }
      if chance(25) {
        script.append("grant \(one(["select", "update", "references"])) (v) on \(table) to \(one(others))")
      }
    }
    if chance(20) { script.append("grant \(one(["pg_read_all_data", "pg_write_all_data"])) to \(one(roles))") }
    if chance(15) { script.append("alter role \(one(roles)) superuser") }
    if chance(50) { script.append("alter database \(target.database) owner to \(one(roles))") }
    if chance(40) { script.append("grant select on all tables in schema one to pg_database_owner") }
    script.append("grant usage on schema one to \(one(others))")
    script.append("grant usage on schema two to \(one(roles))")
    // Not to everybody: other tests would see it.
    script.append("grant connect on database \(target.database) to \(one(roles)), \(one(roles))")
    try await target.execute(script.joined(separator: ";\n"))
  }
}

extension Bench {
  /// How many people each way of access is told of, where these have accounts.
  fileprivate func foreign(to people: [String]) async throws -> [ResidualOracleTests.Told: Int] {
    try await execute("delete from identity")
    _ = try await metadata.transaction { session in
      for role in people { _ = try await session.addIdentity(name: role, email: nil, role: nil) }
    }
    var told: [ResidualOracleTests.Told: Int] = [:]
    for entry in try await planner.drift(connection).flatMap(\.drift.entries) {
      let way = ResidualOracleTests.Told(
        place: entry.place, privileges: entry.privileges,
        way: [entry.route, entry.via, entry.grantor, entry.remark].compactMap(\.self).joined(separator: " "),
        isDoubtful: !entry.remark.isEmpty && entry.remark != "after SET ROLE")
      told[way, default: 0] += entry.users ?? 0
    }
    return told
  }
}
