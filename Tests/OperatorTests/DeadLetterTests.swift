import Metadata
import Testing

/// `dead list`, `retry` and `discard`.
@Suite(.timeLimit(.minutes(2)))
struct DeadLetterTests {
  private struct Row: Decodable {
    let id: Int64, kind, lane, about, error, remedy, finishedAt: String
  }

  @Test func aListShowsWhatFailedWhyAndWhatToDo() async throws {
    try await Installation.run { installation in
      let job = try await installation.discard("ana")
      let rows = try await installation.sluice("dead", "list", "-o", "json").json([Row].self)
      #expect(rows.map(\.id) == [job] && rows[0].lane == "prod/roles" && rows[0].kind == "subscribe")
      #expect(rows[0].about == "grantee role ana")
      #expect(rows[0].error == "permission denied" && rows[0].remedy == "grant it")
      #expect(try await installation.sluice("dead", "list", "--lane", "prod/governance", "-o", "jsonl").text.isEmpty)
    }
  }

  @Test func pagesFollowEachOther() async throws {
    try await Installation.run { installation in
      var jobs: [Int64] = []
      for role in ["a", "b", "c"] { jobs.append(try await installation.discard(role)) }
      let first = try await installation.sluice("dead", "list", "--limit", "2", "-o", "json").json([Row].self)
      #expect(first.map(\.id) == Array(jobs.prefix(2)))
      let people = try await installation.sluice("dead", "list", "--limit", "2")
      #expect(people.errors.contains("sluice dead list --limit 2 --after \(jobs[1])"), "\(people)")
      let rest = try await installation.sluice("dead", "list", "--after", "\(jobs[1])", "-o", "json").json([Row].self)
      #expect(rest.map(\.id) == [jobs[2]])
      let last = try await installation.sluice("dead", "list", "--limit", "1", "--after", "\(jobs[1])")
      #expect(last.errors.isEmpty, "there is no next page: \(last)")
      let newest = try await installation.sluice("job", "list", "--limit", "1", "--after", "\(jobs[2])")
      #expect(newest.text.contains(" \(jobs[1])  ") || newest.text.contains("\n\(jobs[1]) "), "\(newest)")
      #expect(newest.errors.contains("sluice job list --limit 1 --after \(jobs[1])"), "\(newest)")
    }
  }

  @Test func aRetriedLetterRunsAgain() async throws {
    try await Installation.run { installation in
      let job = try await installation.discard()
      let run = try await installation.sluice("dead", "retry", "\(job)")
      #expect(run.status == .exited(0) && run.text == "job \(job) runs again\n", "\(run)")
      try await installation.handOver()
      #expect(try await installation.lease().jobs == [job])
      #expect(try await installation.audited("dead retry") == 1)
    }
  }

  @Test func allAreRetriedAndCountedAndTheSameOnesMerged() async throws {
    struct Told: Decodable { let retried, merged: Int }
    try await Installation.run { installation in
      for role in ["a", "b", "b"] { _ = try await installation.discard(role) }
      let told = try await installation.sluice("dead", "retry", "--all", "-o", "json").json(Told.self)
      #expect(told.retried == 3 && told.merged == 1)
      #expect(try await installation.sluice("dead", "list", "-o", "jsonl").text.isEmpty)
      let again = try await installation.sluice("dead", "retry", "--all")
      #expect(again.status == .exited(0) && again.text == "0 dead letters run again\n")
    }
  }

  @Test func whatHasBeenDoneSinceIsNoDeadLetterAnyMore() async throws {
    try await Installation.run { installation in
      let (first, second) = (try await installation.discard("ana"), try await installation.discard("ana"))
      let other = try await installation.discard("rui")
      let done = try await installation.enqueue("ana")
      try await installation.settle(try await installation.lease(), .completed)
      #expect(try await installation.sluice("dead", "list", "-o", "json").json([Row].self).map(\.id) == [other])
      for id in [first, second] {
        let job = try await installation.metadata.read { try await $0.job(id: id) }
        #expect(job.state == .cancelled && job.error == "done since by job \(done); it had failed: permission denied")
        let attempts = try await installation.metadata.read { try await $0.attempts(of: id) }
        #expect(attempts.map(\.outcome) == ["discarded"] && attempts[0].error == "permission denied")
      }
    }
  }

  @Test func aDiscardedLetterIsPutAsideAndAudited() async throws {
    try await Installation.run { installation in
      let job = try await installation.discard()
      let run = try await installation.sluice("dead", "discard", "\(job)", "--reason", "the table is gone")
      #expect(run.status == .exited(0), "\(run)")
      let stored = try await installation.metadata.read { try await $0.job(id: job) }
      #expect(stored.state == .cancelled && stored.error?.contains("the table is gone") == true)
      #expect(try await installation.audited("dead discard") == 1)
    }
  }

  @Test func allOfALaneArePutAside() async throws {
    try await Installation.run { installation in
      for role in ["a", "b"] { _ = try await installation.discard(role) }
      let none = try await installation.sluice("dead", "discard", "--all", "--lane", "prod/governance")
      #expect(none.text == "0 dead letters are put aside\n", "\(none)")
      let all = try await installation.sluice("dead", "discard", "--all", "--reason", "gone")
      #expect(all.text == "2 dead letters are put aside\n", "\(all)")
      #expect(try await installation.sluice("dead", "list", "-o", "json").text == "[]\n")
      #expect(try await installation.audited("dead discard") == 2)
    }
  }

  @Test(arguments: ["retry", "discard"]) func whatIsNoDeadLetterIsRefused(word: String) async throws {
    try await Installation.run { installation in
      #expect(try await installation.sluice("dead", word, "4711").status == .exited(2))
      let job = try await installation.enqueue()
      #expect(try await installation.sluice("dead", word, "\(job)").status == .exited(1))
    }
  }
}
