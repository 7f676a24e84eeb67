import Enforcement
import Governance
import Metadata
import SluiceTestKit
import Synchronization
import Testing

private final class Ending: Sendable {
  let hasCome = Mutex(false)
}

extension Bench {
  /// Users whose roles exist already.
  func addUsers(_ count: Int) async throws -> [String] {
    let names = (0..<count).map { "\(target.prefix)_u\($0)" }
    try await target.execute(
      "do $$ begin for n in 0..\(count - 1) loop execute 'create role \(target.prefix)_u' || n; end loop; end $$")
    try await execute(
      "insert into identity (name) select '\(target.prefix)_u' || n from generate_series(0, \(count - 1)) n order by n")
    return names
  }

  func subscribeAll(_ users: [String], to tables: String...) async throws {
    _ = try await apply(try requests(.subscribe, users, tables))
  }

  func revokeAll(_ users: [String], from tables: String...) async throws {
    _ = try await apply(try requests(.revoke, users, tables))
  }

  /// One after the other to one of the tables, round and round.
  func requests(
    _ kind: SubscriptionRequest.Kind, _ users: [String], _ tables: [String]
  ) throws -> [SubscriptionRequest] {
    let paths = try tables.map { table in
      let parts = table.split(separator: ".").map(String.init)
      return try path(parts[0], parts[1])
    }
    return users.enumerated().map { number, user in
      SubscriptionRequest(
        kind: kind, user: user, path: paths[number % paths.count], access: kind == .subscribe ? .read : nil)
    }
  }

  func joinGroup(_ name: String, _ users: [String]) async throws {
    _ = try await metadata.transaction { try await $0.changeMembers(of: name, users: users, add: true) }
  }

  func setRoleBudget(_ budget: Int) async throws {
    _ = try await metadata.transaction { session in
      var changed = try await session.connection(id: self.connection.id)
      changed.roleBudget = budget
      return try await session.update(changed)
    }
  }

  /// Evaluates, and leaves what that submits for later.
  func storeAudiences() async throws {
    _ = try await metadata.transaction { try await Evaluation.run(self.connection.id, parent: nil, in: $0) }
  }

  /// Compares everything in one lane before any other job runs: the lanes run in whatever order they come.
  func compare(_ kind: LaneKind) async throws {
    let job = try await metadata.transaction { session in
      let lanes = try await session.lanes(of: self.connection.id)
      let lane = try #require(
        lanes.first { $0.kind == kind && (kind == .roles || $0.databaseName == self.target.database) })
      let request = JobRequest(lane: lane.id, kind: .subscribe, jobClass: .bulk, scope: .everything)
      return try await session.submit([request])[0]
    }
    let results = try await run([job.id], lane: job.lane)
    #expect(results.allSatisfy { $0.outcome == .completed })
  }

  /// How many of the users could not run a SELECT; of several tables, each user on one, round and round.
  func refused(_ users: [String], _ tables: String...) async throws -> Int {
    Int(try await target.rows(Self.refusals, [.textArray(users), .textArray(tables)])[0].int("refused"))
  }

  private static let refusals = """
    select count(*) as refused
    from unnest($1::text[]) with ordinality as u (name, number)
      cross join lateral (select ($2::text[])[1 + (u.number - 1) % cardinality($2::text[])] as name) t
    where not (has_table_privilege(u.name, t.name::regclass, 'SELECT')
      and has_schema_privilege(u.name, split_part(t.name, '.', 1), 'USAGE')
      and has_database_privilege(u.name, current_database(), 'CONNECT'))
    """

  /// Asks all the time whether every one of the users may read, while something happens.
  func readingBy(
    _ users: [String], _ tables: String..., body: @escaping @Sendable () async throws -> Void
  ) async throws {
    let ending = Ending()
    try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        try await self.target.server.withAdmin(self.target.database) { session in
          var (looks, refusals) = (0, 0)
          while !ending.hasCome.withLock({ $0 }) {
            let row = try await session.query(Self.refusals, [.textArray(users), .textArray(tables)]).rows[0]
            refusals += Int(try row.int("refused"))
            looks += 1
          }
          #expect(looks > 1)
          return refusals
        }
      }
      group.addTask {
        defer { ending.hasCome.withLock { $0 = true } }
        try await body()
        return 0
      }
      for try await refusals in group { #expect(refusals == 0) }
    }
  }

  /// Roles in the access control lists of a schema and of the database.
  func entrantCounts(_ schema: String) async throws -> [Int] {
    try await target.rows(
      """
      select count(distinct x.grantee) as n from pg_namespace n, aclexplode(n.nspacl || '{}'::aclitem[]) x
      where n.nspname = $1
      union all
      select count(distinct x.grantee) from pg_database d, aclexplode(d.datacl || '{}'::aclitem[]) x
      where d.datname = current_database()
      """, [.text(schema)]
    ).map { Int(try $0.int("n")) }
  }

  /// Entries in the table's access control list.
  func granteeCount(_ table: String) async throws -> Int {
    Int(
      try await target.rows(
        "select count(distinct x.grantee) as n from pg_class c, aclexplode(c.relacl || '{}'::aclitem[]) x where c.oid = $1::text::regclass",
        [.text(table)])[0].int("n"))
  }
}
