import Metadata
import SluiceTestKit
import Testing

/// What happens when a run does everything but commit.
@Suite(.timeLimit(.minutes(2)))
struct CommitTests {
  @Test func aRevokeWhoseCommitFailedIsDoneByTheNextRun() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"], .write)
      try await bench.drain()
      try await bench.refuseCommitsOfRevokes()
      try await bench.removeUser(ana)
      try await bench.drain()
      #expect(try await bench.target.canWrite(ana, "sales.orders"), "the target has rolled back")
      try await bench.target.execute("drop event trigger note_revoke")
      #expect(try await bench.drain(now: true).allSatisfy { $0.state == .completed })
      #expect(try await bench.target.grants(to: ana) == [])
    }
  }

  /// The server says only that a commit failed, not for which of its jobs.
  @Test func aCommitThatIsRefusedFailsTheJobThatItIsRefusedForAndNoOther() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.target.createTables((0..<8).map { "sales.t\($0)" })
      try await bench.sync()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.refuseCommitsOfRevokes()
      let revoke = try await bench.revoke(ana, from: ["sales.orders"])
      let subscribes = try await bench.subscribe(ana, to: (0..<8).map { "sales.t\($0)" })
      let results = try await bench.run((revoke + subscribes).map(\.id), lane: revoke[0].lane)
      #expect(results.count == 9)
      for result in results {
        let isRefused = if case .retryable = result.outcome { true } else { false }
        #expect(isRefused == (result.id == revoke[0].id) && isRefused == (result.outcome != .completed))
      }
    }
  }

  @Test func statementsThatWereRolledBackAreNotInTheTrail() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      try await bench.refuseCommitsOfRevokes()
      try await bench.revoke(ana, from: ["sales.orders"])
      try await bench.drain()
      #expect(try await bench.statements().contains { $0.hasPrefix("REVOKE") } == false)
    }
  }

  @Test func whatWasTakenIsForgottenOnlyIfNobodyGrantedItAgain() async throws {
    try await Bench.run { bench in
      let ana = try await bench.makeSales()
      try await bench.subscribe(ana, to: ["sales.orders"])
      try await bench.drain()
      let id = bench.connection.id
      let before = try await bench.metadata.read { try await $0.managedGrants(of: id, roles: [ana]) }
      #expect(before.grants.count == 3)
      try await bench.metadata.transaction { metadata in
        try await metadata.noteGiven(Array(before.grants.prefix(1)), of: id)
      }
      try await bench.metadata.transaction { metadata in
        try await metadata.forgetTaken(before.grants, of: id, asOf: before.asOf)
      }
      let after = try await bench.metadata.read { try await $0.managedGrants(of: id, roles: [ana]) }
      #expect(after.grants == Array(before.grants.prefix(1)))
    }
  }
}

extension Bench {
  /// From now on a transaction in the target's main database that revokes something there fails when it commits.
  fileprivate func refuseCommitsOfRevokes() async throws {
    try await target.execute(
      """
      create table public.revoked (at timestamptz);
      create function public.refuse() returns trigger language plpgsql as
        $$ begin raise exception 'this commit is refused'; end $$;
      create constraint trigger refuse after insert on public.revoked deferrable initially deferred
        for each row execute function public.refuse();
      create function public.note_revoke() returns event_trigger language plpgsql security definer as
        $$ begin insert into public.revoked values (now()); end $$;
      create event trigger note_revoke on ddl_command_end when tag in ('REVOKE') execute function public.note_revoke();
      """)
  }

  /// As `sluice user remove`.
  func removeUser(_ name: String) async throws {
    try await metadata.transaction { session in
      let identity = try await session.identity(named: name)
      try await session.submitGrantee(name, on: connection.id, isLoss: true)
      try await session.removeIdentity(identity.id)
    }
  }
}
