import Databricks
import Testing

/// LAKEBASE.md, table (a), rows 10 to 23, one case a line.
@Suite struct LoginFailureTests {
  enum Expected: String, Sendable { case askInstance, soon, whenRunning, reauthenticate, forbidden, permanent }

  struct Case: Sendable, CustomTestStringConvertible {
    let row: String
    let sqlState: String?
    let message: String
    var detail: String?
    var transport = false
    let expected: Expected
    var testDescription: String { "row \(row): \(sqlState ?? "no code") \(message)" }
  }

  static let paused =
    "This could be due to paused instances, disabling readable secondaries, IP ACLs or private link configuration."
  static let blocked = paused + " Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 123"

  static let cases: [Case] = [
    .init(
      row: "13", sqlState: "28000", message: "External authorization failed.", detail: paused, expected: .askInstance),
    .init(
      row: "13/7", sqlState: "28000", message: "External authorization failed.", detail: blocked, expected: .forbidden),
    .init(
      row: "14", sqlState: "28000", message: "Invalid authorization for databricks identity login",
      expected: .reauthenticate),
    .init(row: "14", sqlState: "28000", message: "OAuth: User is not authorized", expected: .reauthenticate),
    .init(row: "14", sqlState: "28000", message: "Failed to decode token for role \"x\"", expected: .reauthenticate),
    .init(
      row: "14", sqlState: "28P01", message: "password authentication failed for user \"x\"", expected: .reauthenticate),
    .init(
      row: "15", sqlState: "XX000", message: "password authentication failed for user 'x'", expected: .reauthenticate),
    .init(row: "16", sqlState: "XX000", message: "Control plane request failed", expected: .soon),
    .init(row: "16", sqlState: "XX000", message: "Couldn't connect to compute node", expected: .soon),
    .init(
      row: "16", sqlState: "XX000",
      message:
        "Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or contact our support.",
      expected: .soon),
    .init(
      row: "17", sqlState: "XX000", message: "Control plane request failed: endpoint is disabled",
      expected: .whenRunning),
    .init(
      row: "17", sqlState: "XX000", message: "The endpoint has been disabled. Enable it using Neon API and retry.",
      expected: .whenRunning),
    .init(
      row: "18", sqlState: "XX000", message: "Control plane request failed: endpoint cannot be found",
      expected: .permanent),
    .init(row: "19", sqlState: nil, message: "Connection refused", transport: true, expected: .askInstance),
    .init(row: "19", sqlState: nil, message: "timeout expired", transport: true, expected: .askInstance),
    .init(
      row: "19", sqlState: nil, message: "could not translate host name \"x\" to address", transport: true,
      expected: .askInstance),
    .init(
      row: "19", sqlState: nil, message: "server closed the connection unexpectedly", transport: true,
      expected: .askInstance),
    .init(row: "20", sqlState: "57P03", message: "the database system is starting up", expected: .soon),
    .init(
      row: "20", sqlState: "57P01", message: "terminating connection due to administrator command", expected: .soon),
    .init(row: "20", sqlState: "57P02", message: "crash shutdown", expected: .soon),
    .init(row: "20", sqlState: "08006", message: "connection failure", expected: .soon),
    .init(
      row: "21", sqlState: "08P01", message: "Invalid protocol version. Protocol version: 196608", expected: .permanent),
    .init(
      row: "21", sqlState: "08006", message: "Insecure connection. Ensure that connection is using SSL.",
      expected: .permanent),
    .init(row: "21", sqlState: "08006", message: "Connection does not have SNI.", expected: .permanent),
    .init(row: "21", sqlState: "0A000", message: "Unsupported frontend protocol 3.2.", expected: .permanent),
    .init(
      row: "21", sqlState: nil, message: "SSL error: certificate verify failed", transport: true, expected: .permanent),
    .init(
      row: "22", sqlState: "53300",
      message: "remaining connection slots are reserved for roles with the SUPERUSER attribute",
      expected: .soon),
    .init(
      row: "22", sqlState: "XX000", message: "Too many connections to this endpoint. Please try again later.",
      expected: .soon),
    .init(row: "23", sqlState: "3D000", message: "database \"x\" does not exist", expected: .permanent),
    .init(row: "23", sqlState: "28000", message: "role \"x\" does not exist", expected: .permanent),
    .init(row: "23", sqlState: "28000", message: "role \"x\" is not permitted to log in", expected: .permanent),
    .init(row: "–", sqlState: "42501", message: "permission denied for database \"x\"", expected: .permanent),
  ]

  @Test(arguments: cases) func isClassified(_ failure: Case) {
    let disposition = LoginFailure.classify(
      sqlState: failure.sqlState, message: failure.message, detail: failure.detail, transport: failure.transport)
    #expect(Self.name(disposition) == failure.expected)
  }

  @Test(arguments: [
    (InstanceState.running, Expected.reauthenticate), (.stopped(detail: "STOPPED"), .whenRunning),
    (.starting(detail: "UPDATING"), .whenRunning), (.idle, .soon), (.disabled, .whenRunning), (.deleting, .permanent),
  ])
  func stateTellsWhatARefusalMeant(state: InstanceState, expected: Expected) {
    #expect(Self.name(state.dispositionOfRefusedLogin) == expected)
  }

  static func name(_ disposition: Disposition) -> Expected {
    switch disposition {
    case .askInstance: .askInstance
    case .soon: .soon
    case .whenRunning: .whenRunning
    case .reauthenticate: .reauthenticate
    case .forbidden: .forbidden
    case .permanent: .permanent
    }
  }
}
