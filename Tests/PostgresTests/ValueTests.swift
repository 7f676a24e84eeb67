import Foundation
import Platform
import Testing

@testable import Postgres

@Suite struct ConfigurationURLTests {
  @Test func partsAreDecoded() throws {
    let configuration = try read("postgres://us%40er:p%2Fw%3A%F0%9F%A7%80@db.example:6543/my%20db?connect_timeout=3")
    #expect(configuration.user == "us@er")
    #expect(configuration.password?.reveal() == "p/w:🧀")
    #expect(configuration.host == "db.example")
    #expect(configuration.port == 6543)
    #expect(configuration.database == "my db")
    #expect(configuration.connectTimeout == .seconds(3))
    #expect(configuration.endpoint == "db.example:6543/my db")
  }

  @Test(arguments: [
    ("postgres://u@db.example/d", PostgresConfiguration.TLS.verifyFull(caFile: nil)),
    ("postgres://u@localhost/d", .disable), ("postgresql://u@127.0.0.1/d", .disable),
    ("postgres://u@[::1]:5/d", .disable), ("postgres://u@/d?host=/run/postgres", .disable),
    ("postgres://u@db/d?sslmode=require", .require), ("postgres://u@db/d?sslmode=disable", .disable),
    ("postgres://u@localhost/d?sslmode=verify-full&sslrootcert=/ca.crt", .verifyFull(caFile: "/ca.crt")),
    ("postgres://u@db/d?sslrootcert=system", .verifyFull(caFile: nil)),
  ])
  func encryptionIsStrictByDefault(url: String, tls: PostgresConfiguration.TLS) throws {
    #expect(try read(url).tls == tls)
  }

  @Test func socketDirectoryAndAddressAreTaken() throws {
    #expect(try read("postgres://u@/d?host=%2Frun%2Fpg").host == "/run/pg")
    #expect(try read("postgres://u@db/d?hostaddr=10.0.0.1").hostAddress == "10.0.0.1")
    #expect(try read("postgres://u@[::1]:5/d").host == "::1")
    #expect(try read("postgres://u@db").database == "u")
  }

  @Test func standbysFollowTheFirstHost() throws {
    let configuration = try read("postgres://u@one:6000,two,[::1]:6001/d")
    #expect(configuration.host == "one" && configuration.port == 6000)
    #expect(configuration.alternatives == [.init(host: "two", port: 5432), .init(host: "::1", port: 6001)])
    #expect(configuration.endpoint == "one:6000,two:5432,::1:6001/d")
    #expect(configuration.sessionTarget == .readWrite)
    #expect(configuration.tls == .verifyFull(caFile: nil))
    #expect(try read("postgres://u@one/d").sessionTarget == .any)
    #expect(try read("postgres://u@one,two/d?target_session_attrs=any").sessionTarget == .any)
    #expect(try read("postgres://u@one/d?target_session_attrs=primary").sessionTarget == .primary)
    #expect(try read("postgres://u@localhost,127.0.0.1/d").tls == .disable)
  }

  @Test(arguments: [
    ("postgres://u:hidden@a,,b/d", "hosts"), ("postgres://u:hidden@a,b/d?hostaddr=10.0.0.1", "hostaddr"),
    ("postgres://u:hidden@a,b/d?target_session_attrs=standby", "target_session_attrs"),
    ("mysql://u:hidden@db/d", "postgres://"), ("postgres://db/d?password=hidden", "user"),
    ("postgres://u:hidden@db/d?target=x", "target"), ("postgres://u:hidden@db:99999/d", "port"),
    ("postgres://u:hidden@db/d?sslmode=prefer", "sslmode"), ("postgres://u:hid%den@db/d", "password"),
    ("postgres://u:hidden@db/d?connect_timeout=0", "connect_timeout"),
    ("postgres://u:hidden@db/d?hostaddr=name", "hostaddr"),
  ])
  func faultIsNamedAndNothingSecretShown(url: String, part: String) {
    expect(.configuration, naming: part) { () throws(PostgresError) in
      do throws(PostgresError) { _ = try read(url) } catch {
        #expect(!"\(error)".contains("hid"))
        throw error
      }
    }
  }

  private func read(_ url: String) throws(PostgresError) -> PostgresConfiguration {
    try PostgresConfiguration(url: Secret(url), applicationName: "test")
  }
}

@Suite struct SQLStateTests {
  @Test func codeMatchesItselfAndItsClass() {
    let state: SQLState? = .uniqueViolation
    #expect(SQLState.uniqueViolation ~= state)
    #expect(SQLState.Class.integrityConstraintViolation ~= state)
    #expect(!(SQLState.Class.dataException ~= state))
    #expect(!(SQLState.Class.dataException ~= nil))
  }

  @Test func descriptionNamesTheCondition() {
    #expect("\(SQLState.privilegeNotGranted)" == "01007 privilege_not_granted")
    #expect("\(SQLState(rawValue: "ZZ999"))" == "ZZ999")
  }

  @Test(arguments: [
    (SQLState.serializationFailure, "", true), (.deadlockDetected, "", true), (.lockNotAvailable, "", true),
    (.internalError, "tuple concurrently updated", true), (.internalError, "cache lookup failed", false),
    (.undefinedTable, "", false),
  ])
  func conflictIsWhatARepetitionCanWin(state: SQLState, message: String, isConflict: Bool) {
    #expect(PostgresError(.server, message, sqlState: state).isConflict == isConflict)
  }

  @Test(arguments: [
    (PostgresError.Code.server, SQLState?.some(.tooManyConnections), true), (.server, .cannotConnectNow, true),
    (.server, SQLState(rawValue: "08006"), true), (.server, .protocolViolation, false),
    (.server, .insufficientPrivilege, false), (.authentication, .invalidPassword, false),
    (.connectionLost, nil, true), (.tls, nil, false), (.timedOut, nil, true), (.cancelled, .queryCanceled, false),
  ])
  func transientIsWhatPassesByItself(code: PostgresError.Code, state: SQLState?, isTransient: Bool) {
    #expect(PostgresError(code, "", sqlState: state).isTransient == isTransient)
  }
}

@Suite struct ConnectionRefusalTests {
  @Test func stateMessageAndDetailAreRead() {
    let error = refusal(
      """
      connection to server at "db" (10.0.0.1), port 5432 failed: FATAL:  28000: External authorization failed.
      DETAIL:  This could be due to paused instances.
      LOCATION:  auth.c:100
      """)
    #expect(error.code == .authentication)
    #expect(error.sqlState == .invalidAuthorizationSpecification)
    #expect(error.message == "External authorization failed.")
    #expect(error.detail == "This could be due to paused instances.")
  }

  @Test(arguments: [
    ("connection to server at \"db\", port 1 failed: Connection refused\n\tIs it running?", PostgresError.Code.connect),
    ("connection to server at \"db\", port 1 failed: SSL error: certificate verify failed", .tls),
    ("connection to server at \"db\", port 1 failed: server does not support SSL, but SSL was required", .tls),
    ("connection to server at \"db\", port 1 failed: SSL error: unexpected eof while reading", .connect),
    ("connection to server at \"db\", port 1 failed: SSL SYSCALL error: EOF detected", .connect),
    ("connection to server at \"db\", port 1 failed: fe_sendauth: no password supplied", .authentication),
    ("connection … failed: ERROR:  XX000: password authentication failed for user 'a'", .authentication),
    ("connection … failed: FATAL:  57P03: the database system is starting up", .server), ("", .connect),
  ])
  func textTellsTheCode(text: String, code: PostgresError.Code) {
    #expect(refusal(text).code == code)
  }

  private func refusal(_ text: String) -> PostgresError { ConnectionRefusal(text).error(endpoint: "db:1/d") }
}

@Suite struct IdentifierTests {
  @Test func quotesAreDoubled() throws {
    #expect(try PostgresIdentifier("a\"b").quoted == "\"a\"\"b\"")
  }

  @Test(arguments: ["", "a\0b", String(repeating: "x", count: 64), String(repeating: "🧀", count: 16)])
  func unusableNameIsRefused(name: String) {
    expect(.configuration) { () throws(PostgresError) in _ = try PostgresIdentifier(name) }
  }

  @Test func bytesAreCountedNotCharacters() throws {
    let name = String(repeating: "🧀", count: 15) + "abc"
    #expect(try PostgresIdentifier(name).name.utf8.count == 63)
  }

  @Test func literalRefusesNUL() {
    expect(.configuration) { () throws(PostgresError) in _ = try PostgresLiteral("a\0b") }
  }
}

@Suite struct TextTests {
  @Test(arguments: ["", "{", "{a", "{\"a}", "{a\"", "{{1,2},{3,4}}", "{\"a\"b}"])
  func brokenArrayIsRefused(text: String) {
    #expect(PostgresText.array(text) == nil)
  }

  @Test func nullElementIsNotTheText() {
    #expect(PostgresText.array("{NULL,\"NULL\"}") == [nil, "NULL"])
  }

  @Test(arguments: ["0a", "\\x0", "\\xzz"])
  func brokenBytesAreRefused(text: String) {
    #expect(PostgresText.bytes(text) == nil)
  }

  @Test(arguments: ["", "infinity", "2026-01-01", "2026-01-01 00:00:00+01", "yesterday at+00"])
  func otherDateFormIsRefused(text: String) {
    #expect(PostgresText.date(text) == nil)
  }

  @Test(arguments: [
    ("  select 1", "SELECT"), ("-- why\nGRANT x", "GRANT"), ("", nil), ("(SELECT 1)", nil),
  ])
  func keywordNamesTheStatement(sql: String, keyword: String?) {
    #expect(PostgresStatement.keyword(of: sql) == keyword)
  }
}
