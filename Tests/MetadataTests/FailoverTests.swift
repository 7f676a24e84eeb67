import Metadata
import Platform
import Postgres
import SluiceTestKit
import Testing

/// A metadata database with a standby that takes its place.
@Suite(.timeLimit(.minutes(5)))
struct FailoverTests {
  @Test func promotedStandbyServesTheSameClientAndHasWhatWasWritten() async throws {
    let primary = try await TestServer.start()
    let standby = try await primary.startStandby()
    try await withMetadata(on: primary, standby: standby) { metadata in
      _ = try await metadata.transaction { try await $0.addIdentity(name: "before", email: nil, role: nil) }
      let epoch = try await metadata.transaction { try await $0.raiseEpoch(known: 1, claimed: nil, redisRunID: "a") }
      #expect(try await metadata.read { try await $0.queueState().redisRunID } == "a")
      try await primary.postgres.kill()
      let error = await #expect(throws: PostgresError.self) {
        try await metadata.transaction { try await $0.addIdentity(name: "between", email: nil, role: nil) }
      }
      #expect(error.map(MetadataDatabase.isOutage) == true, "\(error.map { "\($0)" } ?? "")")
      try await standby.promote()
      _ = try await metadata.transaction { try await $0.addIdentity(name: "after", email: nil, role: nil) }
      let names = try await metadata.read { session in
        try await session.connection.query("select name from identity order by name").rows.map { try $0.text("name") }
      }
      #expect(names == ["after", "before"])
      let state = try await metadata.read { try await $0.queueState() }
      #expect(state.epoch == epoch && state.redisRunID == nil, "what Redis holds must be compared with this ledger")
    }
    await standby.postgres.stop(.immediate)
  }

  @Test(arguments: [
    ("25006", true), ("57P01", true), ("57P02", true), ("57P03", true), ("57P05", true), ("08006", true),
    ("08P01", true), ("53300", true), ("42501", false), ("23505", false), ("28P01", false), ("57014", false),
  ])
  func outageIsWhatPassesByItself(state: String, isOutage: Bool) {
    let error = PostgresError(.server, "", sqlState: SQLState(rawValue: state))
    #expect(MetadataDatabase.isOutage(error) == isOutage)
  }
}
