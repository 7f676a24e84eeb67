import Governance
import Metadata
import Postgres
import SluiceTestKit

/// What must hold when everything has settled.
extension PropertyWorld {
  /// What does not hold, in words.
  func faults(_ foreign: Set<String>) async throws -> [String] {
    var faults: [String] = []
    func expect(_ holds: Bool, _ text: @autoclosure () -> String) { if !holds { faults.append(text()) } }
    let (tree, places) = (try await tree(), try await places())
    expect(tree.mapValues(\.place) == places, "the tree is \(tree.mapValues(\.place)), the target \(places)")
    let (desired, observed) = (try await desired(tree), try await observed())
    for pair in Set(desired.keys).union(observed.keys) {
      expect(
        desired[pair] == observed[pair],
        """
        \(pair.user) on \(places[pair.table].map { "\($0)" } ?? "\(pair.table)"): \
        desired \((desired[pair] ?? []).sorted()), observed \((observed[pair] ?? []).sorted())
        """)
    }
    let left = try await self.foreign()
    expect(
      left == foreign,
      "of others' lost \(foreign.subtracting(left).sorted()), new \(left.subtracting(foreign).sorted())")
    let outside = try await withoutPrerequisites(Set(desired.keys))
    expect(outside.isEmpty, "without USAGE or CONNECT: \(outside)")
    let plans = try await bench.planner.plan(bench.connection)
    expect(plans.isEmpty, "planned: \(plans.flatMap(\.statements))")
    let before = try await bench.target.catalogVersions()
    try await bench.sync()
    let after = try await bench.target.catalogVersions()
    expect(after == before, "written again: \(Set(after).subtracting(before))")
    return faults
  }

  /// By the definition of policies, guardrails and subscriptions, without audiences and without SQL.
  private func desired(_ tree: [UInt32: Known]) async throws -> [Pair: Set<String>] {
    let (policies, now, tables, people) = try await bench.metadata.read { [bench] session in
      (
        try await session.policies(), try await session.now(),
        try await session.tableFacts(connection: bench.connection.id), try await session.userFacts()
      )
    }
    let compiler = Compiler(policies: policies, now: now)
    let oids = Dictionary(uniqueKeysWithValues: tree.map { ($0.value.id, $0.key) })
    let effective = try await effectivePrivileges()
    var desired: [Pair: Set<String>] = [:]
    for table in tables {
      guard let oid = oids[table.id.rawValue] else { continue }
      for person in people {
        let pair = Pair(user: person.name, table: oid)
        for access in AccessLevel.allCases {
          let isSubscribed =
            subscriptions[Subscribed(user: person.name, securable: table.id.rawValue)] == access
            && compiler.passesGuardrails(person, table, access: access)
          guard isSubscribed || compiler.admits(person, table, access: access) else { continue }
          let privileges = Set(access.privileges(on: table.kind).map(\.keyword))
          desired[pair, default: []].formUnion(privileges.intersection(effective[oid] ?? []))
        }
      }
    }
    return desired
  }

  /// What a privilege on a relation can be good for: a view that computes can only be read.
  private func effectivePrivileges() async throws -> [UInt32: Set<String>] {
    let rows = try await bench.target.rows(
      """
      select oid::bigint as oid, relkind::text as kind, pg_relation_is_updatable(oid, true) as events from pg_class
      where oid >= 16384 and relkind in ('r', 'p', 'v', 'm', 'f')
      """)
    return Dictionary(
      uniqueKeysWithValues: try rows.map { row in
        // A bit for each command, by its number. Source: PostgreSQL, CmdType in nodes.h.
        let events = try row.int("events")
        let writes = [("UPDATE", 2), ("INSERT", 3), ("DELETE", 4)].filter { events & (1 << $0.1) != 0 }.map(\.0)
        let isTable = try ["r", "p"].contains(row.text("kind"))
        return (UInt32(try row.int("oid")), Set(["SELECT"] + writes + (isTable ? ["TRUNCATE"] : [])))
      })
  }

  /// What users have by entries of our grantor: their own and those of audiences that they are in.
  private func observed() async throws -> [Pair: Set<String>] {
    let inherits = bench.target.server.hasMembershipOptions ? "m.inherit_option" : "true"
    let rows = try await bench.target.rows(
      """
      with held as (
        select u.rolname as name, u.oid as role from pg_roles u where u.rolname = any ($1)
        union all
        select u.rolname, m.roleid from pg_roles u join pg_auth_members m on m.member = u.oid and \(inherits)
        where u.rolname = any ($1) and m.roleid::regrole::text = any ($3)
      )
      select h.name, c.oid::bigint as oid, array_agg(distinct x.privilege_type) as privileges
      from pg_class c cross join lateral aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x
        join held h on h.role = x.grantee
      where x.grantor = $2::regrole and c.relkind in ('r', 'p', 'v', 'm', 'f') group by 1, 2
      """, [.textArray(users + crowd), .text(bench.target.grantor), .textArray(try await bench.audienceRoles())])
    return Dictionary(
      uniqueKeysWithValues: try rows.map {
        (
          Pair(user: try $0.text("name"), table: UInt32(try $0.int("oid"))), Set(try $0.textArray("privileges"))
        )
      })
  }

  /// Everything in access control lists, and every membership, that is not ours to change.
  func foreign() async throws -> Set<String> {
    let ours = try await bench.metadata.read { session in
      try await session.connection.query("select role, made from managed_role").rows
        .map { (try $0.text("role"), try $0.bool("made")) }
    }
    let audiences = try await bench.audienceRoles() + ours.map(\.0).filter { $0.hasPrefix("sluice_") }
    let managed = Set(users + crowd + audiences)
    let rows = try await bench.target.rows(
      """
      with entry as (
        select 'relation ' || c.oid as place, c.relacl as acl from pg_class c where c.oid >= 16384
        union all select 'column ' || a.attrelid || ' ' || a.attname, a.attacl from pg_attribute a where a.attrelid >= 16384
        union all select 'schema ' || n.nspname, n.nspacl from pg_namespace n
        union all select 'database', d.datacl from pg_database d where d.datname = current_database()
      )
      select e.place || ' ' || x.grantee::regrole || ' ' || x.privilege_type || ' ' || x.is_grantable || ' by '
        || x.grantor::regrole as line
      from entry e cross join lateral aclexplode(nullif(e.acl || '{}'::aclitem[], '{}')) x
      where not (x.grantor = $1::regrole and pg_get_userbyid(x.grantee) = any ($2))
      union all
      select 'member ' || m.member::regrole || ' of ' || m.roleid::regrole || ' by ' || m.grantor::regrole
      from pg_auth_members m
      where starts_with(pg_get_userbyid(m.member), '\(bench.target.prefix)_')
        and pg_get_userbyid(m.roleid) <> all ($3) and pg_get_userbyid(m.member) <> $4
      union all
      select 'role ' || rolname || ' ' || rolcanlogin || rolcreaterole || rolinherit from pg_roles
      where starts_with(rolname, '\(bench.target.prefix)_') and rolname <> all ($5)
      """,
      [
        .text(bench.target.grantor), .textArray(Array(managed)), .textArray(audiences), .text(bench.target.manager),
        .textArray(ours.filter(\.1).map(\.0)),
      ])
    return Set(try rows.map { try $0.text("line") })
  }

  /// Pairs whose user may not even enter the table's schema or the database.
  private func withoutPrerequisites(_ pairs: Set<Pair>) async throws -> [String] {
    let list = Array(pairs)
    return try await bench.target.rows(
      """
      select p.role || ' in ' || c.relnamespace::regnamespace as line
      from unnest($1::text[], $2::bigint[]) p (role, oid) join pg_class c on c.oid = p.oid::oid
        join pg_roles r on r.rolname = p.role
      where not has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
        or not has_database_privilege(r.oid, current_database(), 'CONNECT')
      """, [.textArray(list.map(\.user)), .int8Array(list.map { Int64($0.table) })]
    ).map { try $0.text("line") }
  }
}
