import Foundation
import Governance
import Metadata

/// Subscriptions by hand, from a file, through the built binary: submit to verified.
enum SubscriptionCases {
  private static let schema = "s"
  private static let workers = 2

  static let all: [BenchCase<EnforcementRun>] = [oneTable, individual, hot]

  private static let oneTable = BenchCase<EnforcementRun>(
    name: "one-table", summary: "many users are subscribed to one and the same table"
  ) { run in
    let stage = try await stage(run, users: run.scale.oneTableUsers, tables: 1)
    let spent = try await stage.submit(
      .subscribe, try stage.write(.subscribe, users: names("u", run.scale.oneTableUsers), tables: names("t", 1)))
    await stage.stop()
    return figures("one-table/\(run.scale.oneTableUsers)", spent, requests: run.scale.oneTableUsers)
  }

  private static let individual = BenchCase<EnforcementRun>(
    name: "individual", summary: "individual subscriptions of many users to many tables, and their revocation"
  ) { run in
    let (users, tables) = (names("u", run.scale.subscribers), names("t", run.scale.subscribedTables))
    let stage = try await stage(run, users: users.count, tables: tables.count)
    var all: [Measurement] = []
    for kind in [Kind.subscribe, .revoke] {
      let spent = try await stage.submit(kind, try stage.write(kind, users: users, tables: tables))
      all += figures("individual/\(kind)", spent, requests: users.count * tables.count)
    }
    await stage.stop()
    return all
  }

  /// Everybody at once: several producers, all workers, one database and its roles.
  private static let hot = BenchCase<EnforcementRun>(
    name: "hot", summary: "16 workers on one database: several producers subscribe and revoke at the same time"
  ) { run in
    let (users, tables) = (names("u", run.scale.subscribers), names("t", run.scale.subscribedTables))
    let stage = try await stage(run, users: users.count, tables: tables.count, workers: run.scale.hotWorkers)
    let (producers, kinds) = (4, [Kind.subscribe, .revoke, .subscribe])
    let spent = try await stage.step(running: {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for producer in 0..<producers {
          let own = users.indices.filter { $0 % producers == producer }.map { users[$0] }
          group.addTask {
            for kind in kinds {
              let file = try stage.write(kind, users: own, tables: tables, name: "producer\(producer)-\(kind)")
              try await stage.sluice("submit", "--from-file", file)
            }
          }
        }
        try await group.waitForAll()
      }
    })
    await stage.stop()
    return figures(
      "hot/workers=\(run.scale.hotWorkers)", spent, requests: kinds.count * users.count * tables.count)
  }

  private static func figures(_ name: String, _ spent: EnforcementStage.Spent, requests: Int) -> [Measurement] {
    [
      Measurement("\(name)/settled", spent.wall, "s"),
      Measurement(
        "\(name)/rate", Double(requests) / spent.wall, "requests/s",
        ceiling: spent.psql > 0 ? Double(requests) / spent.psql : nil),
      Measurement("\(name)/target", spent.target.active / 1e3, "s", ceiling: spent.twin.active / 1e3),
      Measurement("\(name)/statements", Double(spent.target.count), "statements"),
      Measurement("\(name)/jobs", Double(spent.jobs), "jobs"),
      Measurement("\(name)/failed", Double(spent.failed), "jobs"),
      Measurement("\(name)/retried", Double(spent.retried), "jobs"),
    ]
  }

  private static func names(_ prefix: String, _ count: Int) -> [String] {
    (1...count).map { prefix + String(format: "%04d", $0) }
  }

  private static func stage(
    _ run: EnforcementRun, users: Int, tables: Int, workers: Int = workers
  ) async throws -> EnforcementStage {
    let stage = try await run.newStage(workers: workers)
    for target in [stage.target, stage.twin] { try await target.makeTables(names("t", tables), schema: schema) }
    try await stage.metadata.transaction { session in
      for user in names("u", users) { _ = try await session.addIdentity(name: user, email: nil, role: nil) }
    }
    try await stage.sync()
    return stage
  }
}

extension SubscriptionCases {
  fileprivate enum Kind: String { case subscribe, revoke }
}

extension EnforcementStage {
  /// A file of requests, each user to each table.
  fileprivate func write(
    _ kind: SubscriptionCases.Kind, users: [String], tables: [String], name: String = "requests"
  ) throws -> String {
    let file = "\(directory)/\(name).jsonl"
    let lines = users.flatMap { user in
      tables.map { table in
        let path = [Self.connectionName, BenchTarget.database, "s", table].joined(separator: "/")
        return #"{"kind":"\#(kind)","user":"\#(user)","path":"\#(path)"}"#
      }
    }
    try lines.joined(separator: "\n").write(toFile: file, atomically: false, encoding: .utf8)
    return file
  }

  fileprivate func submit(_ kind: SubscriptionCases.Kind, _ file: String) async throws -> Spent {
    try await step(running: { try await sluice("submit", "--from-file", file) })
  }
}
