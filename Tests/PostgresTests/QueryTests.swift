import Foundation
import Platform
import Testing

@testable import Postgres

extension ServerTests {
  @Suite struct Queries {
    @Test func scalarParametersComeBackAsTheyWere() async throws {
      let connection = try await PrivateServer.running.connect()
      let row = try await #require(
        connection.query(
          """
          SELECT $1::bool AS bool, $2::int4 AS int4, $3::int8 AS int8, $4::float8 AS double, $5::text AS text,
            $6::bytea AS bytea, $7::jsonb ->> 'käse' AS json, $8::text AS missing, $9::text AS empty
          """,
          [
            true, .int4(-7), .int8(.min), .double(0.1), "naïve 🧀 'quoted' \\ \n", .bytea([0, 1, 0xfe, 0xff]),
            .json(#"{"käse": "🧀"}"#), nil, "",
          ]
        ).rows.first)
      #expect(try row.bool("bool"))
      #expect(try row.int("int4") == -7)
      #expect(try row.int("int8") == .min)
      #expect(try row.double("double") == 0.1)
      #expect(try row.text("text") == "naïve 🧀 'quoted' \\ \n")
      #expect(try row.bytes("bytea") == [0, 1, 0xfe, 0xff])
      #expect(try row.text("json") == "🧀")
      #expect(try row.optionalText("missing") == nil)
      #expect(try row.text("empty").isEmpty)
    }

    @Test func timesComeBackToTheMicrosecond() async throws {
      let connection = try await PrivateServer.running.connect()
      let date = Date(timeIntervalSince1970: 1_709_210_096.123456)  // On a leap day.
      let row = try await #require(
        connection.query(
          "SELECT $1::timestamptz AS date, extract(epoch FROM $2::interval)::float8 AS seconds",
          [.timestamp(date), .interval(.milliseconds(90_500))]
        ).rows.first)
      #expect(abs(try row.date("date").timeIntervalSince(date)) < 0.000_001)
      #expect(try row.double("seconds") == 90.5)
    }

    @Test func arraysComeBackAsTheyWere() async throws {
      let connection = try await PrivateServer.running.connect()
      let row = try await #require(
        connection.query(
          """
          SELECT $1::int8[] AS numbers, $2::text[] AS texts, cardinality($3::int8[]) AS none,
            $4::bool[]::text AS flags, array_position($5::text[], NULL) AS null_position
          """,
          [
            .int8Array([1, -2, .max]), .textArray(["a,b", "{c}", "\"d\" \\", "", "NULL", "🧀"]), .int8Array([]),
            .boolArray([true, false]), .textArray(["x", nil]),
          ]
        ).rows.first)
      #expect(try row.intArray("numbers") == [1, -2, .max])
      #expect(try row.textArray("texts") == ["a,b", "{c}", "\"d\" \\", "", "NULL", "🧀"])
      #expect(try row.int("none") == 0)
      #expect(try row.text("flags") == "{t,f}")
      #expect(try row.int("null_position") == 2)
    }

    @Test func missingColumnAndUnexpectedNullAreNamed() async throws {
      let connection = try await PrivateServer.running.connect()
      let row = try await #require(connection.query("SELECT NULL::int AS hole, 'x' AS letter").rows.first)
      expect(.decoding, naming: "hole") { () throws(PostgresError) in _ = try row.int("hole") }
      expect(.decoding, naming: "nowhere") { () throws(PostgresError) in _ = try row.text("nowhere") }
      expect(.decoding, naming: "letter") { () throws(PostgresError) in _ = try row.int("letter") }
    }

    @Test func affectedRowsAreCounted() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("CREATE TEMP TABLE item (id int)")
      let result = try await connection.query("INSERT INTO item SELECT generate_series(1, 5)")
      #expect(result.affected == 5)
      #expect(result.commandTag == "INSERT 0 5")
    }

    @Test func warningOfAnIneffectiveGrantComesWithItsResult() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute(
        """
        CREATE ROLE grantor; CREATE ROLE grantee; CREATE TEMP TABLE item (id int);
        GRANT SELECT ON item TO grantor; SET ROLE grantor;
        """)
      let result = try await connection.query("GRANT SELECT ON item TO grantee")
      #expect(result.notices.map(\.sqlState) == [.privilegeNotGranted])
      #expect(result.notices.map(\.severity) == ["WARNING"])
    }

    @Test func scriptReturnsItsNoticesAndStopsAtTheFirstError() async throws {
      let connection = try await PrivateServer.running.connect()
      let notices = try await connection.execute(
        "DO $$ BEGIN RAISE NOTICE 'first'; RAISE WARNING 'second'; END $$; SELECT 1")
      #expect(notices.map(\.message) == ["first", "second"])
      let error = await failure { try await connection.execute("CREATE TEMP TABLE a (b int); SELECT * FROM nowhere") }
      #expect(error?.sqlState == .undefinedTable)
      #expect(try await connection.query("SELECT to_regclass('a') AS found").rows.first?.optionalText("found") == nil)
    }

    @Test func failedStatementLeavesTheConnectionUsable() async throws {
      let connection = try await PrivateServer.running.connect()
      let error = await failure { _ = try await connection.query("SELECT * FROM nowhere") }
      #expect(error?.code == .server)
      #expect(error?.sqlState == .undefinedTable)
      #expect(error?.statement == "SELECT")
      #expect(await connection.isUsable)
    }

    @Test func errorsShowNeitherParametersNorRowData() async throws {
      let connection = try await PrivateServer.running.connect()
      try await connection.execute("CREATE TEMP TABLE person (name text CONSTRAINT one_name PRIMARY KEY)")
      _ = try await connection.query("INSERT INTO person VALUES ($1)", ["confidential"])
      let statements: [(String, [PostgresValue])] = [
        ("INSERT INTO person VALUES ($1)", ["confidential"]), ("SELECT $1::text::int", ["confidential"]),
      ]
      for (sql, parameters) in statements {
        let error = try #require(await failure { _ = try await connection.query(sql, parameters) })
        #expect(!"\(error) \(String(reflecting: error)) \(error.detail ?? "")".contains("confidential"))
      }
      let duplicate = await failure {
        _ = try await connection.query("INSERT INTO person VALUES ($1)", ["confidential"])
      }
      #expect(duplicate?.sqlState == .uniqueViolation)
      #expect(duplicate?.message.contains("one_name") == true)
    }

    @Test func settingsHoldFromTheStart() async throws {
      var configuration = try PrivateServer.running.configuration()
      configuration.settings = ["lock_timeout": "1234ms", "sluice.note": "a b\\c"]
      configuration.applicationName = "sluice test"
      let connection = try await PostgresConnection.connect(configuration)
      let row = try await #require(
        connection.query(
          """
          SELECT current_setting('lock_timeout') AS lock, current_setting('application_name') AS name,
            current_setting('sluice.note') AS note, current_setting('jit') AS jit
          """
        ).rows.first)
      #expect(try row.text("lock") == "1234ms")
      #expect(try row.text("name") == "sluice test")
      #expect(try row.text("note") == "a b\\c")
      #expect(try row.text("jit") == "off")
    }
  }
}

/// The error of a call that must fail.
func failure(_ body: () async throws -> Void) async -> PostgresError? {
  do {
    try await body()
    Issue.record("expected an error")
  } catch let error as PostgresError {
    return error
  } catch {
    Issue.record("expected a PostgresError, not \(error)")
  }
  return nil
}

func expect(_ code: PostgresError.Code, naming text: String? = nil, _ body: () throws(PostgresError) -> Void) {
  do throws(PostgresError) {
    try body()
    Issue.record("expected an error")
  } catch {
    #expect(error.code == code)
    if let text { #expect(error.description.contains(text)) }
  }
}
