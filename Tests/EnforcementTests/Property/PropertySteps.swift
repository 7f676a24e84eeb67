import Governance
import Metadata
import Postgres
import SluiceTestKit

/// What governors change.
extension PropertyWorld {
  mutating func changeDesired() async throws {
    switch random.below(10) {
    case 0...3: try await subscribe()
    case 4, 5: try await revoke()
    case 6: try await changeGroup()
    case 7, 8: try await changePolicy()
    default: try await setEnabled()
    }
  }

  private mutating func somePair() async throws -> (user: String, table: Known)? {
    // A job may have synced since.
    known = try await tree()
    guard !known.isEmpty else { return nil }
    let table = known[random.pick(known.keys.sorted())]
    return table.map { (random.pick(users), $0) }
  }

  private mutating func subscribe() async throws {
    // Nobody can be subscribed to what is disabled.
    guard let (user, table) = try await somePair(), table.isEnabled else { return }
    let access = random.pick(AccessLevel.allCases)
    note("subscribe \(user) to \(table.place), \(access)")
    try await request(.subscribe, user, table.place, access)
    subscriptions[Subscribed(user: user, securable: table.id)] = access
  }

  private mutating func revoke() async throws {
    guard let (user, table) = try await somePair() else { return }
    let access: AccessLevel? = random.once(in: 3) ? .write : nil
    note("revoke \(access.map { "\($0)" } ?? "all") of \(user) on \(table.place)")
    try await request(.revoke, user, table.place, access)
    let pair = Subscribed(user: user, securable: table.id)
    if access == nil { subscriptions[pair] = nil } else if subscriptions[pair] == .write { subscriptions[pair] = .read }
  }

  private func request(
    _ kind: SubscriptionRequest.Kind, _ user: String, _ place: Place, _ access: AccessLevel?
  ) async throws {
    let path = try bench.path(place.schema, place.name)
    _ = try await bench.apply([SubscriptionRequest(kind: kind, user: user, path: path, access: access)])
  }

  private mutating func changeGroup() async throws {
    let (group, user, joins) = (random.pick(Self.groups), random.pick(users), random.once(in: 2))
    note("\(user) \(joins ? "joins" : "leaves") \(group)")
    try await bench.metadata.transaction { session in
      _ = try await session.changeMembers(of: group, users: [user], add: joins)
      try await session.submitEvaluations()
    }
  }

  private mutating func changePolicy() async throws {
    let name = "p\(random.below(4))"
    if random.once(in: 4) {
      note("policy \(name) is removed")
      return try await bench.metadata.transaction { session in
        _ = try await session.removePolicy(named: name)
        try await session.submitEvaluations()
      }
    }
    let condition = random.pick([
      "'a' in user.groups", "'b' in user.groups", "!('c' in user.groups)", "'a' in user.groups || 'c' in user.groups",
      "'a' in user.groups && 'b' in user.groups", "true", "'x' in user.attributes.nowhere",
    ])
    let schema = random.pick(["*", random.pick(schemas)])
    let policy = SubscriptionPolicy(
      name: name, effect: random.once(in: 4) ? .guardrail : .grant, access: random.pick(AccessLevel.allCases),
      target: PolicyTarget(connection: [try Glob(bench.connection.name)], schema: [try Glob(schema)]),
      condition: try Condition.parse(condition))
    note("policy \(name): \(policy.effect) \(policy.access) on \(schema) if \(condition)")
    try await bench.metadata.transaction { session in
      _ = try await session.apply(policy)
      try await session.submitEvaluations()
    }
  }

  private mutating func setEnabled() async throws {
    guard let (_, table) = try await somePair() else { return }
    let place = table.place
    let setting: Securable.Setting = random.pick([.disabled, .enabled, .inherit])
    note("\(place) is set to \(setting)")
    try await bench.metadata.transaction { [bench] session in
      let id = try await session.securable(at: try bench.path(place.schema, place.name)).id
      _ = try await session.set(setting, on: id)
      if let changed = try await session.securable(id: id) { try await session.submitReach(of: changed) }
    }
  }
}

/// What the target's own people do.
extension PropertyWorld {
  mutating func changeTarget() async throws {
    switch random.below(11) {
    case 0: try await createTable()
    case 1: try await rename()
    case 2: try await swap()
    case 3: try await drop(andCreateAgain: false)
    case 4: try await drop(andCreateAgain: true)
    case 5: try await setSchema()
    case 6: try await changeOwner()
    case 7: try await driftAway()
    case 8: try await partition()
    case 9: try await detach()
    default: try await grantForeign()
    }
  }

  mutating func createTable() async throws {
    try await create(Place(schema: random.pick(schemas), name: newName()), kind: random.below(6))
  }

  /// Makes a relation that the manager may grant on; most are tables with a serial column.
  private mutating func create(_ place: Place, kind: Int) async throws {
    let target = bench.target
    let name = try place.sql
    note("create \(name), kind \(kind)")
    guard kind >= 4 else { return try await target.createTables([name]) }
    let text =
      kind == 4
      ? "create view \(name) as select 1 as id" : "create table \(name) (id int, v text) partition by range (id)"
    try await target.execute(
      "\(text); alter table \(name) owner to \(target.owner); "
        + "grant select, insert, update, delete, truncate on \(name) to \(target.grantor) with grant option")
  }

  private mutating func rename() async throws {
    guard let place = try await somePlace() else { return }
    let name = newName()
    try await execute("alter table \(try place.sql) rename to \(try PostgresIdentifier(name).quoted)")
  }

  /// Two tables take each other's names, which is how people replace one by another.
  private mutating func swap() async throws {
    guard let one = try await somePlace(), let two = try await somePlace(), one != two else { return }
    let (first, second) = (try PostgresIdentifier(one.name).quoted, try PostgresIdentifier(two.name).quoted)
    guard one.schema == two.schema else { return }
    let schema = try PostgresIdentifier(one.schema).quoted
    try await execute(
      "begin; alter table \(try one.sql) rename to between; alter table \(try two.sql) rename to \(first);"
        + "alter table \(schema).between rename to \(second); commit")
  }

  private mutating func drop(andCreateAgain: Bool) async throws {
    guard let place = try await somePlace() else { return }
    let isView =
      try await bench.target.rows(
        "select from pg_class where oid = $1::text::regclass and relkind = 'v'", [.text(try place.sql)]
      ).isEmpty == false
    try await execute("drop \(isView ? "view" : "table") \(try place.sql)")
    if andCreateAgain { try await create(place, kind: 0) }
  }

  /// A table goes on as the partition of a new one, which often takes its name: that is how a table is partitioned.
  private mutating func partition() async throws {
    let rows = try await bench.target.rows(
      """
      select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.oid >= 16384 and c.relkind = 'r' and not c.relispartition order by c.oid
      """)
    guard !rows.isEmpty else { return }
    let row = random.pick(rows)
    let place = Place(schema: try row.text("schema"), name: try row.text("name"))
    let (takesName, other) = (random.once(in: 2), Place(schema: place.schema, name: newName()))
    let (parent, part) = takesName ? (place, other) : (other, place)
    let target = bench.target
    try await execute(
      (takesName ? "alter table \(try place.sql) rename to \(try PostgresIdentifier(part.name).quoted);" : "")
        + "create table \(try parent.sql) (id int, v text) partition by list (v);"
        + "alter table \(try parent.sql) owner to \(target.owner);"
        + "alter table \(try parent.sql) attach partition \(try part.sql) default;"
        + "grant select, insert, update, delete, truncate on \(try parent.sql) to \(target.grantor) with grant option")
  }

  /// A partition is a table of its own again, under the name that it has.
  private mutating func detach() async throws {
    let rows = try await bench.target.rows(
      """
      select i.inhparent::regclass::text as parent, i.inhrelid::regclass::text as part
      from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relispartition order by i.inhrelid
      """)
    guard !rows.isEmpty else { return }
    let row = random.pick(rows)
    try await execute("alter table \(try row.text("parent")) detach partition \(try row.text("part"))")
  }

  private mutating func setSchema() async throws {
    guard let place = try await somePlace() else { return }
    let schema = random.pick(schemas)
    // Where its name is taken it stays.
    guard try await places().values.contains(Place(schema: schema, name: place.name)) == false else { return }
    try await execute("alter table \(try place.sql) set schema \(try PostgresIdentifier(schema).quoted)")
  }

  private mutating func changeOwner() async throws {
    guard let place = try await somePlace() else { return }
    let owner = random.pick([bench.target.owner, strangers[0]])
    try await execute("alter table \(try place.sql) owner to \(owner)")
  }

  /// Somebody takes away, by Sluice's own grantor, what one user has on a table.
  private mutating func driftAway() async throws {
    guard let place = try await somePlace() else { return }
    let user = random.pick(users)
    guard try await bench.target.roleExists(user) else { return }
    try await execute(
      "set role \(bench.target.grantor); revoke all on \(try place.sql) from \(try PostgresIdentifier(user).quoted)")
  }

  /// What people grant by themselves: as the owner, through a stranger with the grant option, to everybody, on columns.
  mutating func grantForeign() async throws {
    guard let place = try await somePlace() else { return }
    let user = random.pick(users)
    let (table, role) = (try place.sql, try PostgresIdentifier(user).quoted)
    try await execute("do $$ begin create role \(role); exception when duplicate_object then null; end $$")
    switch random.below(5) {
    case 0: try await execute("grant select on \(table) to public")
    case 1: try await execute("grant select, references on \(table) to \(role)")
    case 2: try await execute("grant select (id) on \(table) to \(role)")
    case 3: try await execute("grant usage on schema \(try PostgresIdentifier(place.schema).quoted) to public, \(role)")
    default:
      let stranger = strangers[1]
      try await execute(
        "grant select on \(table) to \(stranger) with grant option; set role \(stranger);"
          + "grant select on \(table) to \(role)")
    }
  }

  /// Strangers, memberships of all sorts, and a circle of them.
  mutating func scatterForeign() async throws {
    let (one, two) = (strangers[0], strangers[1])
    let user = try PostgresIdentifier(users[0]).quoted
    try await execute("create role \(one); create role \(two); create role \(user); grant \(one) to \(user)")
    if bench.target.server.hasMembershipOptions {
      try await execute("grant \(two) to \(user) with inherit false, set true")
    }
    try await makeCircle("\(bench.target.prefix)_c1", "\(bench.target.prefix)_c2", member: user)
    for schema in schemas {
      try await execute(
        "grant usage, create on schema \(try PostgresIdentifier(schema).quoted) to \(one); "
          + "grant usage on schema \(try PostgresIdentifier(schema).quoted) to \(two)")
    }
    for _ in 0..<5 { try await grantForeign() }
  }

  /// Two transactions that do not see each other make what neither alone could (GRANTS.md, d-1).
  private mutating func makeCircle(_ one: String, _ two: String, member: String) async throws {
    try await execute("create role \(one); create role \(two); grant \(one) to \(member)")
    let (left, right) = (try await bench.target.server.admin(), try await bench.target.server.admin())
    _ = try await left.execute("begin; grant \(one) to \(two)")
    _ = try await right.execute("begin; grant \(two) to \(one)")
    _ = try await left.execute("commit")
    _ = try await right.execute("commit")
    for session in [left, right] { await session.close() }
    note("\(one) and \(two) are members of each other")
  }
}
