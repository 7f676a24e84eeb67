import Postgres
import Testing

@testable import sluice

@Suite struct EndingTests {
  /// Scripts try again on it, and on nothing else.
  @Test(arguments: [SQLState.adminShutdown, .crashShutdown, .cannotConnectNow, .tooManyConnections])
  func aMetadataDatabaseThatGoesAwayMidwayIsUnreachable(_ state: SQLState) {
    #expect(Ending.status(of: PostgresError(.server, "gone", sqlState: state)) == .unreachable)
  }

  @Test func aRefusedStatementIsAFailure() {
    #expect(Ending.status(of: PostgresError(.server, "no", sqlState: .checkViolation)) == .failed)
  }
}
