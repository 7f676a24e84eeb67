import Governance
import Metadata
import Platform
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct SubscribeTests {
  /// As an audience is by its roles lane, at the moment at which something asks for it again.
  @Test func aRoleThatGoesBetweenTheLookAndTheGrantIsMadeAgain() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana)")
      let dropping = try await bench.target.server.admin(bench.target.database)
      try await dropping.execute("begin; drop role \(ana)")
      let job = try await bench.subscribe(ana, to: ["sales.orders"])[0]
      async let drained = bench.drain()
      // The role is still there to be seen, and its lock is waited for.
      while try await bench.target.rows(
        "select from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'", [.text(bench.target.manager)]
      ).isEmpty {}
      try await dropping.execute("commit")
      _ = try await drained
      await dropping.close()
      let ended = try await bench.job(job.id)
      #expect(ended.state == .completed, "\(ended.error ?? "")")
      #expect(try await bench.target.canRead(ana, "sales.orders"))
    }
  }

  @Test func syncFindsTheTables() async throws {
    try await Bench.run { bench in
      try await bench.target.createSchema("sales")
      try await bench.target.createTables(["sales.orders", "sales.items"])
      try await bench.sync()
      let found = try await bench.metadata.read {
        try await $0.securables(below: try SecurablePath(parts: [bench.connection.name]), depth: 3)
      }
      let main = try SecurablePath(parts: [bench.connection.name, bench.target.database])
      #expect(
        found.filter { main.isPrefix(of: $0.path) }.map { $0.path.parts.dropFirst(2).joined(separator: ".") }
          == ["", "public", "sales", "sales.items", "sales.orders"])
    }
  }

  @Test func readGrantsSelectWithItsPrerequisites() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      let jobs = try await bench.drain()
      #expect(jobs.map(\.state) == [.completed])
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.orders SELECT", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func writeGrantsTheSequencesOfSerialColumnsToo() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.orders SELECT", "table sales.orders INSERT", "table sales.orders UPDATE",
          "table sales.orders DELETE", "table sales.orders TRUNCATE", "sequence sales.orders_id_seq USAGE",
          "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func revokeTakesEverythingAndPrerequisitesLeaveWithTheLastGrant() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"], .write)
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.items"))
      #expect(try await bench.target.canRead(ana, "sales.orders") == false)
      try await bench.revoke(ana, from: ["sales.items"])
      #expect(try await bench.drain().map(\.state) == [.completed])
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func aUsersRoleIsMadeWithoutLoginIfThereIsNone() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      let role = try await bench.target.rows("select rolcanlogin from pg_roles where rolname = $1", [.text(ana)])
      #expect(try role.map { try $0.bool("rolcanlogin") } == [false])
      #expect(
        try await bench.metadata.read { try await $0.managedRoles(of: bench.connection.id) }.map {
          [$0.role, "\($0.made)"]
        }
          == [[ana, "true"]])
    }
  }

  @Test func aRoleThatExistedIsUsedAndNotTakenForOurs() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("create role \(ana) login")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      #expect(
        try await bench.metadata.read { try await $0.managedRoles(of: bench.connection.id) }
          == [ManagedRole(role: ana, kind: .user, made: false)])
    }
  }

  @Test func whatEverybodyHasIsNotGrantedAgain() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute("grant usage on schema sales to public")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.target.grants(to: ana) == ["table sales.orders SELECT", "database this CONNECT"])
    }
  }

  @Test func aSecondRunWritesNothing() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"], .write)
      try await bench.drain()
      let before = try await bench.target.catalogVersions()
      try await bench.subscribe(ana, to: ["sales.orders", "sales.items"], .write)
      #expect(try await bench.drain().map(\.state) == [.completed, .completed])
      #expect(try await bench.target.catalogVersions() == before)
    }
  }

  @Test func writeIsReducedToReadByRevokingWrite() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"], .write)
      try await bench.drain()
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.orders SELECT", "schema sales USAGE", "database this CONNECT",
        ])
    }
  }

  @Test func hundredsOfJobsMakeFewStatements() async throws {
    try await Bench.run { bench in
      let tables = (0..<60).map { "sales.t\($0)" }
      try await bench.target.createSchema("sales")
      try await bench.target.createTables(tables, columns: "v text")
      try await bench.sync()
      for name in ["ana", "bo", "cy", "di", "ed"] {
        let user = try await bench.addUser(name)
        try await bench.subscribe(user, to: tables)
      }
      let jobs = try await bench.drain()
      #expect(jobs.count == 300 && jobs.allSatisfy { $0.state == .completed })
      let grants = try await bench.statements().filter { $0.hasPrefix("GRANT") }
      #expect(grants.count == 3, "\(grants.map { $0.prefix(60) })")
    }
  }

  @Test func aSubscriptionInAnotherDatabaseIsGrantedThere() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("hr", in: other)
      try await bench.target.createTables(["hr.people"], in: other)
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["hr.people"], in: other)
      try await bench.drain()
      #expect(try await bench.target.canRead(ana, "hr.people", in: other))
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  @Test func anotherPersonsGrantsToTheSameRoleStay() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        "create role \(ana); set role \(bench.target.owner); grant select on sales.items to \(ana)")
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(
        try await bench.target.grants(to: ana) == [
          "table sales.items SELECT", "schema sales USAGE", "database this CONNECT",
        ], "and what it needs")
    }
  }

  @Test func aDatabaseThatShutsUsOutKeepsItsTree() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("hr", in: other)
      try await bench.target.createTables(["hr.people"], in: other)
      try await bench.sync()
      let before = try await bench.metadata.read {
        try await $0.securable(at: try bench.path("hr", "people", in: other))
      }
      try await bench.target.execute("revoke connect on database \(other) from \(bench.target.manager) cascade")
      let lane = try await bench.metadata.read { try await $0.lane(.roles, of: bench.connection.id).id }
      let sync = try await bench.metadata.transaction { try await $0.submitSync(of: bench.connection.id) }
      try await bench.run([sync.id], lane: lane)
      let after = try await bench.metadata.read {
        try await $0.securable(at: try bench.path("hr", "people", in: other))
      }
      #expect(after.id == before.id)
    }
  }

  @Test func aRenamedSchemaThatIsSyncedAloneKeepsItsTables() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let orders = try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "orders")).id }
      try await bench.target.execute("alter schema sales rename to sold")
      let sales = try SecurablePath(parts: [bench.connection.name, bench.target.database, "sales"])
      _ = try await bench.metadata.transaction { try await $0.submitSync(of: sales, evenInactive: false) }
      try await bench.drain()
      let moved = try await bench.metadata.read { try await $0.securable(at: try bench.path("sold", "orders")) }
      #expect(moved.id == orders)
    }
  }

  @Test func aTableMovedOutOfASchemaThatIsSyncedAloneKeepsItsRow() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.createSchema("archive")
      try await bench.sync()
      let orders = try await bench.metadata.read { try await $0.securable(at: try bench.path("sales", "orders")).id }
      try await bench.target.execute("alter table sales.orders set schema archive")
      let sales = try SecurablePath(parts: [bench.connection.name, bench.target.database, "sales"])
      _ = try await bench.metadata.transaction { try await $0.submitSync(of: sales, evenInactive: false) }
      try await bench.drain()
      let moved = try await bench.metadata.read { try await $0.securable(at: try bench.path("archive", "orders")) }
      #expect(moved.id == orders)
    }
  }
}
