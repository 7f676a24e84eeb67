import Enforcement
import Metadata
import Platform
import SluiceTestKit
import Testing

@Suite(.timeLimit(.minutes(2)))
struct ConnectionCheckTests {
  private func lines(_ bench: Bench, as user: String? = nil) async throws -> [String: CheckLine] {
    var connection = bench.connection
    if let user { connection.username = user }
    let (lines, _) = await ConnectionCheck(targets: bench.targets).run(connection, secret: Secret(""))
    return Dictionary(uniqueKeysWithValues: lines.map { ($0.name, $0) })
  }

  @Test func aGoodConnectionPassesEveryLine() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      let lines = try await lines(bench)
      #expect(lines.values.filter { $0.verdict != .passed }.map(\.message) == [])
      #expect(
        Set(lines.keys) == [
          "login", "server version", "writable catalog", "CREATEROLE", "makes roles", "grant options",
        ])
    }
  }

  @Test func aRoleThatMayNotMakeRolesFails() async throws {
    try await Bench.run { bench in
      try await bench.target.execute("alter role \(bench.target.manager) nocreaterole")
      let lines = try await lines(bench)
      #expect(lines["CREATEROLE"]?.verdict == .failed)
      #expect(lines["makes roles"]?.verdict == .failed)
      #expect(lines["CREATEROLE"]?.remedy?.contains("ALTER ROLE") == true)
    }
  }

  @Test func tablesWithoutGrantOptionAreAWarningThatNamesThem() async throws {
    try await Bench.run { bench in
      _ = try await bench.makeSales()
      try await bench.target.execute(
        "revoke all on sales.items from \(bench.target.manager) cascade; "
          + "grant pg_read_all_data to \(bench.target.manager)")
      let line = try #require(try await lines(bench)["grant options"])
      #expect(line.verdict == .warning)
      #expect(line.message.contains("sales.items"))
      #expect(line.message.contains("sales.orders") == false)
    }
  }

  @Test func everyPrivilegeOfEveryDatabaseIsLookedAtAndTheRemedyNamesIt() async throws {
    try await Bench.run { bench in
      let other = bench.target.otherDatabase
      try await bench.target.createSchema("stock", in: other)
      try await bench.target.createTables(["stock.parts"], in: other)
      try await bench.target.execute(
        "revoke grant option for truncate on stock.parts from \(bench.target.manager) cascade;"
          + "revoke usage on schema stock from \(bench.target.manager) cascade;"
          + "revoke usage on all sequences in schema stock from \(bench.target.manager) cascade", in: other)
      let remedy = try #require(try await lines(bench)["grant options in \(other)"]?.remedy)
      let manager = bench.target.manager
      for part in ["GRANT TRUNCATE ON TABLE stock.parts", "GRANT USAGE ON SCHEMA stock", "SEQUENCE stock.parts_id_seq"]
      {
        #expect(remedy.contains("\(part) TO") && remedy.contains(manager), "\(remedy)")
      }
      #expect(remedy.contains("…") == false)
    }
  }

  @Test func oneServerIsKnownByWhateverDatabaseItIsReached() async throws {
    try await Bench.run { bench in
      var other = bench.connection
      other.database = bench.target.otherDatabase
      let first = try await bench.targets.identity(of: bench.connection)
      #expect(first.isSame(as: try await bench.targets.identity(of: other, secret: Secret(""))))
    }
  }

  @Test func aRefusedLoginEndsTheCheck() async throws {
    try await Bench.run { bench in
      let lines = try await lines(bench, as: "\(bench.target.prefix)_nobody")
      #expect(lines.count == 1)
      #expect(lines["login"]?.verdict == .failed)
    }
  }

  @Test func whatIsTriedIsRolledBack() async throws {
    try await Bench.run { bench in
      _ = try await lines(bench)
      #expect(try await bench.target.rows("select from pg_roles where starts_with(rolname, 'sluice_check_')").isEmpty)
    }
  }
}
