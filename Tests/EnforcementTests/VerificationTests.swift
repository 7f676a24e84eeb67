import Foundation
import Metadata
import SluiceTestKit
import Testing

/// What is reported done was read back; what was not done is told of exactly those whom it concerns.
@Suite(.timeLimit(.minutes(2)))
struct VerificationTests {
  @Test func oneRefusedTableOfAStatementFailsItsOwnJobOnly() async throws {
    try await Bench.run { bench in
      let tables = ["sales.t", "sales.to", "sales.tot"] + (0..<30).map { "sales.t\($0)" }
      try await bench.target.createSchema("sales")
      try await bench.target.createTables(tables)
      try await bench.sync()
      let ana = try await bench.addUser("ana")
      try await bench.target.execute(
        "revoke grant option for select on sales.to from \(bench.target.manager) cascade")
      let jobs = try await bench.subscribe(ana, to: tables, .write)
      try await bench.drain()
      for (table, submitted) in zip(tables, jobs) {
        let job = try await bench.job(submitted.id)
        #expect(job.state == (table == "sales.to" ? .discarded : .completed), "\(table): \(job.error ?? "")")
      }
      let refused = try await bench.job(jobs[1].id)
      #expect(refused.error?.contains(#"SELECT on "sales"."to""#) == true, "\(refused.error ?? "")")
      #expect(refused.error?.contains("01007") == true)
      #expect(refused.remedy?.contains("WITH GRANT OPTION") == true)
    }
  }

  private struct Result: Decodable {
    struct Verified: Decodable {
      let entries: Int
      let list: [String]
    }
    let granted: Int
    let revoked: Int
    let verified: Verified?
  }

  private func result(_ bench: Bench, _ job: Int64) async throws -> Result {
    let text = try #require(try await bench.job(job).result)
    return try JSONDecoder().decode(Result.self, from: Data(text.utf8))
  }

  @Test func resultsSayWhichEntriesWereReadBackAndWhoGrantedThem() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      let (manager, database) = (bench.target.manager, bench.target.database)
      let given = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      let first = try await result(bench, given[0].id)
      #expect(first.granted == 3)
      #expect(
        first.verified?.list == [
          #"CONNECT on database "\#(database)" to \#(ana) by \#(manager)"#,
          #"USAGE on schema "sales" to \#(ana) by \#(manager)"#,
          #"SELECT on "sales"."orders" to \#(ana) by \#(manager)"#,
        ])
      let taken = try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      let second = try await result(bench, taken[0].id)
      #expect(second.revoked == 1)
      #expect(second.verified?.list == [#"no SELECT on "sales"."orders" to \#(ana)"#])
      let again = try await bench.subscribe(ana, to: ["sales.items"])
      try await bench.drain()
      #expect(try await result(bench, again[0].id).verified == nil, "nothing was touched")
    }
  }

  @Test func whatUndoesGrantsAsTheyAreMadeFailsWhatItUndoes() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.execute(
        """
        create function public.undo() returns event_trigger language plpgsql security definer as $$ begin
          update pg_class set relacl = array(select x from unnest(relacl) x where x::text not like '\(ana)=%')
          where oid = 'sales.items'::regclass;
        end $$;
        create event trigger undo on ddl_command_end when tag in ('GRANT') execute function public.undo()
        """)
      let jobs = try await bench.subscribe(ana, to: ["sales.orders", "sales.items"])
      try await bench.drain()
      #expect(try await bench.job(jobs[0].id).state == .completed)
      let undone = try await bench.job(jobs[1].id)
      #expect(undone.state == .discarded)
      #expect(undone.error?.contains("not as the server answered") == true, "\(undone.error ?? "")")
    }
  }

  /// One table of a statement is refused, and says so; another is not as the server answered, and nobody says why.
  @Test func aWarningExcusesOneSecurableAndNoOther() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createTables(["sales.closed"])
      try await bench.sync()
      try await bench.target.execute(
        """
        revoke grant option for select on sales.closed from \(bench.target.grantor) cascade;
        create function public.undo() returns event_trigger language plpgsql security definer as $$ begin
          update pg_class set relacl = array(select x from unnest(relacl) x where x::text not like '\(ana)=%')
          where oid = 'sales.items'::regclass;
        end $$;
        create event trigger undo on ddl_command_end when tag in ('GRANT') execute function public.undo()
        """)
      let jobs = try await bench.subscribe(ana, to: ["sales.closed", "sales.items", "sales.orders"])
      try await bench.drain()
      let closed = try await bench.job(jobs[0].id)
      #expect(closed.state == .discarded && closed.error?.contains("01007") == true, "\(closed.error ?? "")")
      let undone = try await bench.job(jobs[1].id)
      #expect(undone.error?.contains("not as the server answered") == true, "\(undone.error ?? "")")
      #expect(try await bench.job(jobs[2].id).state == .completed)
    }
  }

  @Test func aSecondLookAtEverythingWritesNothing() async throws {
    try await Bench.run { bench in
      let (ana, bo) = try await bench.makePolicy()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.subscribe(bo, to: ["sales.items"], .write)
      try await bench.drain()
      let before = try await bench.target.catalogVersions()
      try await bench.sync()
      try await bench.metadata.transaction { session in
        for user in [ana, bo] { try await session.submitGrantee(user, on: bench.connection.id, isLoss: true) }
      }
      #expect(try await bench.drain().allSatisfy { $0.state == .completed })
      #expect(try await bench.target.catalogVersions() == before)
    }
  }
}
