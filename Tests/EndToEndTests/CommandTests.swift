import Foundation
import LocalServers
import Testing

/// The built binary against everything it talks to: what it prints, how it ends, and what the database itself says.
@Suite(.devCluster, .serialized) struct CommandTests {
  private static let table = "prod/databricks_postgres/demo"

  private func cluster() throws -> DevCluster { try #require(DevCluster.current) }

  private struct Count: Decodable { let id: Int }

  @Test func aSubscriptionReachesTheDatabaseAndARevokeTakesItBack() async throws {
    let cluster = try cluster()
    let path = "\(Self.table)/cs-data"
    #expect(try await cluster.sluice("user", "add", "eve").status == .exited(0))
    let subscribed = try await cluster.sluice(
      "submit", "subscribe", "--user", "eve", "--path", path, "--wait", "--timeout", "30")
    #expect(subscribed.status == .exited(0), "\(subscribed)")
    #expect(try await cluster.may("eve", "SELECT", "cs-data"))
    #expect(try await cluster.may("eve", "INSERT", "cs-data") == false)
    let revoked = try await cluster.sluice(
      "submit", "revoke", "--user", "eve", "--path", path, "--wait", "--timeout", "30")
    #expect(revoked.status == .exited(0), "\(revoked)")
    #expect(try await cluster.may("eve", "SELECT", "cs-data") == false)
  }

  @Test func removingAUserTakesAllAccessAway() async throws {
    let cluster = try cluster()
    try await cluster.sluice("user", "add", "mallory")
    for table in ["cs-data", "marketing-data"] {
      try await cluster.sluice(
        "submit", "subscribe", "--user", "mallory", "--path", "\(Self.table)/\(table)", "--wait", "--timeout", "30")
    }
    #expect(try await cluster.may("mallory", "SELECT", "cs-data"))
    try await cluster.sluice("user", "remove", "mallory")
    try await settle(cluster)
    #expect(try await cluster.may("mallory", "SELECT", "cs-data") == false)
    #expect(try await cluster.may("mallory", "SELECT", "marketing-data") == false)
  }

  @Test func mappingToAnotherRoleMovesTheAccess() async throws {
    let cluster = try cluster()
    try await cluster.sluice("user", "add", "olga")
    try await cluster.sluice(
      "submit", "subscribe", "--user", "olga", "--path", "\(Self.table)/cs-data", "--wait", "--timeout", "30")
    try await cluster.sluice("user", "map", "olga", "prod", "olga@example.com")
    try await settle(cluster)
    #expect(try await cluster.may("olga", "SELECT", "cs-data") == false)
    #expect(try await cluster.may("olga@example.com", "SELECT", "cs-data"))
  }

  @Test func disablingATableRevokesAndEnablingItGrantsAgain() async throws {
    let cluster = try cluster()
    let path = "\(Self.table)/marketing-data"
    try await cluster.sluice("user", "add", "nils")
    try await cluster.sluice(
      "submit", "subscribe", "--user", "nils", "--path", path, "--wait", "--timeout", "30")
    try await cluster.sluice("disable", path)
    try await settle(cluster)
    #expect(try await cluster.may("nils", "SELECT", "marketing-data") == false)
    try await cluster.sluice("enable", path)
    try await settle(cluster)
    #expect(try await cluster.may("nils", "SELECT", "marketing-data"))
  }

  @Test func aFaultyLineInALargeFileSubmitsNothing() async throws {
    let cluster = try cluster()
    let line = #"{"kind":"sync","path":"prod"}"# + "\n"
    let text = String(repeating: line, count: 39_999) + "{\"kind\":\n" + String(repeating: line, count: 10_000)
    let path = "\(cluster.directory)/requests.jsonl"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let before = try await cluster.sluice("job", "list", "--limit", "1", "-o", "json").json([Count].self)
    let run = try await cluster.sluice("submit", "--from-file", path)
    #expect(run.status == .exited(1))
    #expect(run.output.contains("requests.jsonl:40000: "), "\(run)")
    let after = try await cluster.sluice("job", "list", "--limit", "1", "-o", "json").json([Count].self)
    #expect(after.map(\.id) == before.map(\.id))
  }

  @Test func aFileSubmittedTwiceDoesNoHarm() async throws {
    struct Answer: Decodable { let requests, new, coalesced, completed: Int }
    let cluster = try cluster()
    try await cluster.sluice("user", "add", "tom")
    let lines = ["cs-data", "marketing-data", "research-data"].map {
      #"{"kind":"subscribe","user":"tom","path":"\#(Self.table)/\#($0)","access":"write"}"#
    }
    let path = "\(cluster.directory)/twice.jsonl"
    try Data((lines + lines).joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path))
    for _ in 1...2 {
      let run = try await cluster.sluice("submit", "--from-file", path, "--wait", "--timeout", "30", "-o", "json")
      #expect(run.status == .exited(0), "\(run)")
      #expect(try run.json(Answer.self).requests == 6)
    }
    #expect(try await cluster.may("tom", "TRUNCATE", "research-data"))
    #expect(try await cluster.sluice("plan").status == .exited(0))
  }

  private static let endings: [([String], Int32)] = [
    (["user", "show", "nobody"], 2), (["connection", "show", "nothing"], 2), (["job", "show", "999999"], 2),
    (["tree", "prod/nothing"], 2), (["user", "add"], 64), (["frobnicate"], 64),
    (["submit", "subscribe", "--user", "nobody", "--path", "prod/databricks_postgres/demo/cs-data"], 2),
    (["submit", "sync", "prod", "--log-level", "loud"], 64),
  ]

  @Test(arguments: endings)
  func exitStatusesAreThoseOfTheContract(words: [String], status: Int32) async throws {
    let run = try await cluster().run(words)
    #expect(run.status == .exited(status), "\(run)")
  }

  @Test func whatCannotBeReachedIsSaidSo() async throws {
    let cluster = try cluster()
    let metadata = try await cluster.sluice(
      "user", "list", changes: ["SLUICE_METADATA_URL": "postgres://x@127.0.0.1:1/d"])
    #expect(metadata.status == .exited(69), "\(metadata)")
    let redis = try await cluster.sluice("queue", "stats", changes: ["SLUICE_REDIS_URL": "redis://127.0.0.1:1"])
    #expect(redis.status == .exited(69), "\(redis)")
  }

  @Test func waitingForAJobThatCannotRunTimesOut() async throws {
    let cluster = try cluster()
    // A connection that nobody can reach: registered by force, its jobs wait.
    let registered = try await cluster.sluice(
      "connection", "register", "lost", "--kind", "postgres", "--host", "127.0.0.1", "--port", "1", "--database", "d",
      "--user", "u", "--force", changes: ["SLUICE_PASSWORD": "secret"])
    #expect(registered.status == .exited(0), "\(registered)")
    let run = try await cluster.sluice("submit", "sync", "lost", "--wait", "--timeout", "1")
    #expect(run.status == .exited(3), "\(run)")
    #expect(try await cluster.sluice("connection", "delete", "lost", "--force").status == .exited(0))
  }

  @Test func aWrongSecretIsRefusedAndNothingIsStored() async throws {
    let cluster = try cluster()
    let facts = cluster.facts
    let run = try await cluster.sluice(
      "connection", "register", "wrong", "--host", facts.host, "--port", "\(facts.port)", "--database", facts.database,
      "--workspace-url", facts.workspaceURL, "--client-id", facts.clientID, "--instance", facts.instance,
      changes: ["SLUICE_CLIENT_SECRET": "guess-hunter2"])
    #expect(run.status == .exited(1))
    #expect(run.output.contains("invalid_client"))
    #expect(run.output.contains("hunter2") == false)
    #expect(try await cluster.sluice("connection", "show", "wrong").status == .exited(2))
  }

  @Test func aSecondRegistrationOfANameIsRefused() async throws {
    let cluster = try cluster()
    let run = try await cluster.sluice(
      "connection", "register", "prod", "--kind", "postgres", "--host", "h", "--database", "d", "--user", "u",
      changes: ["SLUICE_PASSWORD": "secret"])
    #expect(run.status == .exited(1))
    #expect(run.output.contains("exists already"), "\(run)")
  }

  @Test func oneInstanceIsNotRegisteredTwice() async throws {
    let cluster = try cluster()
    let facts = cluster.facts
    let run = try await cluster.sluice(
      "connection", "register", "again", "--host", facts.host, "--port", "\(facts.port)", "--database", facts.database,
      "--workspace-url", facts.workspaceURL, "--client-id", facts.clientID, "--client-secret-file",
      facts.clientSecretFile, "--instance", facts.instance, "--force")
    #expect(run.status == .exited(1))
    #expect(run.output.contains("registered as connection prod already"), "\(run)")
  }

  @Test func theOutcomeOfAWaitIsOneDocumentWithTheResultAsAnObject() async throws {
    struct Answer: Decodable {
      struct Result: Decodable { let granted: Int }
      let state: String
      let result: Result
    }
    let cluster = try cluster()
    try await cluster.sluice("user", "add", "vera")
    let run = try await cluster.sluice(
      "submit", "subscribe", "--user", "vera", "--path", "\(Self.table)/cs-data", "--wait", "--timeout", "30", "-o",
      "json")
    #expect(try run.json(Answer.self).state == "completed")
  }

  @Test(arguments: ["--help", "-h", "help"]) func helpIsAnAnswer(word: String) async throws {
    let run = try await cluster().run([word])
    #expect(run.status == .exited(0))
    #expect(run.output.contains("USAGE: sluice"), "\(run)")
  }

  @Test func aRefusedLoginToRedisIsAnUnreachableQueue() async throws {
    let cluster = try cluster()
    let url = "redis://:wrong@127.0.0.1:\(try cluster.redisPort())"
    let run = try await cluster.sluice("queue", "stats", changes: ["SLUICE_REDIS_URL": url])
    #expect(run.status == .exited(69), "\(run)")
  }

  @Test func aBusyClusterIsFoundSound() async throws {
    let cluster = try cluster()
    struct Row: Decodable { let check, verdict, message: String }
    let lines = (0..<40).map { number in
      #"{"kind":"subscribe","user":"busy\#(number)","path":"\#(Self.table)/cs-data"}"#
    }
    for number in 0..<40 { try await cluster.sluice("user", "add", "busy\(number)") }
    let path = "\(cluster.directory)/busy.jsonl"
    try Data(lines.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: path))
    for _ in 0..<3 {
      #expect(try await cluster.sluice("submit", "--from-file", path).status == .exited(0))
      #expect(try await cluster.sluice("submit", "sync", "prod").status == .exited(0))
      let run = try await cluster.sluice("doctor", "-o", "json")
      #expect(run.status == .exited(0), "\(run)")
      let checks = Set(try run.json([Row].self).filter { $0.verdict == "ok" }.map(\.check))
      let expected: Set = [
        "queue epoch", "queue rules", "queue invariants", "queue overdue", "queue jobs", "workers", "schedulers",
        "outbox", "metadata durability", "connection prod", "key file",
      ]
      #expect(expected.isSubset(of: checks), "\(run)")
    }
    try await settle(cluster)
  }

  @Test func theWorkersOfTheClusterAreListed() async throws {
    struct Row: Decodable {
      let name, state: String
      let process_id: Int32?
    }
    let cluster = try cluster()
    let rows = try await cluster.sluice("worker", "list", "-o", "json").json([Row].self)
    #expect(Set(rows.compactMap(\.process_id)) == Set(cluster.facts.pids.workers))
    #expect(rows.allSatisfy { $0.state == "alive" })
  }

  @Test(.timeLimit(.minutes(3))) func serversOfDevThatDieAreStartedAgain() async throws {
    let cluster = try cluster()
    for server in [\DevCluster.ServerPids.redis, \.metadata] {
      let before = try #require(try cluster.serverPids()[keyPath: server])
      #expect(kill(before, SIGKILL) == 0)
      while try cluster.serverPids()[keyPath: server] == before {
        // no event: the file of another process is what says that it is there again
        try await Task.sleep(for: .milliseconds(200))
      }
      while try await cluster.sluice("doctor", "--quiet").status != .exited(0) {
        // no event: other processes do the work, and commands are all that this test sees of them
        try await Task.sleep(for: .milliseconds(200))
      }
    }
  }

  /// Waits until no job is left, children of children included.
  private func settle(_ cluster: DevCluster) async throws {
    struct Stats: Decodable { let unfinished: Int }
    while try await cluster.sluice("queue", "stats", "-o", "json").json(Stats.self).unfinished > 0 {
      // no event: other processes do the work, and commands are all that this test sees of them
      try await Task.sleep(for: .milliseconds(100))
    }
  }
}
