import Governance
import Metadata
import Postgres
import SluiceTestKit
import Testing

@testable import Enforcement

/// A run reads as much as there is to change, not as much as there is.
@Suite(.timeLimit(.minutes(2)))
struct ReadingTests {
  @Test func ofAnAudienceOnlyWhatIsNotAsItShouldBeIsLookedAt() async throws {
    try await Bench.run { bench in
      _ = try await bench.makePolicy()
      let audience = try #require(try await bench.audienceRoles().first)
      #expect(try await bench.relationsToCompare(of: audience) == [])
      try await bench.target.execute(
        "set role \(bench.target.manager); revoke select on sales.items from \(audience)")
      #expect(try await bench.relationsToCompare(of: audience) == ["sales.items"])
      try await bench.target.execute(
        "set role \(bench.target.manager); grant select, insert on sales.items to \(audience)")
      #expect(try await bench.relationsToCompare(of: audience) == ["sales.items"], "one privilege too many")
      try await bench.target.execute(
        "set role \(bench.target.manager); revoke insert on sales.items from \(audience);"
          + "revoke usage on schema sales from \(audience)")
      #expect(try await bench.relationsToCompare(of: audience) == ["sales.items", "sales.orders"])
      try await bench.target.execute(
        "set role \(bench.target.manager); grant usage on schema sales to \(audience);"
          + "revoke connect on database \(bench.target.database) from \(audience)")
      #expect(try await bench.relationsToCompare(of: audience) == ["sales.items", "sales.orders"])
    }
  }

  @Test func aSequenceThatIsMissingIsLookedAtAndWhatNobodyShouldHave() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      #expect(try await bench.relationsToCompare(of: ana) == [])
      try await bench.target.execute(
        "set role \(bench.target.manager); revoke usage on sequence sales.orders_id_seq from \(ana)")
      #expect(try await bench.relationsToCompare(of: ana) == ["sales.orders"])
      try await bench.target.execute(
        "set role \(bench.target.manager); grant usage on sequence sales.orders_id_seq to \(ana);"
          + "grant select on sales.items to \(ana)")
      #expect(try await bench.relationsToCompare(of: ana) == ["sales.items"])
    }
  }
}

extension Bench {
  /// What a comparison of everything that a role has, or should have, would read.
  func relationsToCompare(of role: String) async throws -> [String] {
    let lane = try #require(
      try await metadata.read { try await $0.lanes(of: self.connection.id) }
        .first { $0.databaseName == target.database })
    let run = DatabaseRun(
      metadata: metadata, connection: connection, database: try #require(lane.database), worker: "test")
    var extent = Extent()
    extent.wholeRoles = [role]
    let session = try await targets.open(connection, database: target.database)
    let agenda = try await run.agenda(of: extent, JobRoles(), in: session)
    await session.close()
    return try await target.rows(
      "select oid::regclass::text as name from pg_class where oid = any ($1::bigint[]::oid[]) order by 1",
      [.int8Array(agenda.left.map(Int64.init))]
    ).map { try $0.text("name") }
  }
}
