import Foundation
import Governance
import Metadata

/// Small changes of a large world that is as desired, and comparing all of it.
enum PolicyCases {
  /// How often a small change is made; the middle one counts.
  private static let rounds = 3

  static let all: [BenchCase<EnforcementRun>] = [
    BenchCase(name: "apply", summary: "policies applied for the first time: many tables, many users") { run in
      try await run.appliedPolicies().figures
    },
    change("join", "a user joins a group that a policy admits", rounds: rounds) { round, world, session in
      guard let user = world.users.indices.first(where: { !world.members[round].contains($0) }) else { return }
      _ = try await session.changeMembers(of: PolicyWorld.group(round), users: [world.users[user]], add: true)
    },
    change("leave", "a user leaves every group", rounds: rounds) { round, world, session in
      let user = world.users[world.users.count - 1 - round]
      for policy in world.members.indices {
        _ = try await session.changeMembers(of: PolicyWorld.group(policy), users: [user], add: false)
      }
    },
    change("half", "a rule drops half of its users", rounds: 1) { _, _, session in
      _ = try await session.apply(try PolicyWorld.policy(0, alsoIn: PolicyWorld.half))
    },
    newTable, sweep, verify,
  ]

  /// A change of policies or people: time of the target's own, and until it is verified.
  private static func change(
    _ name: String, _ summary: String, rounds: Int,
    _ change: @escaping @Sendable (Int, PolicyWorld, MetadataSession) async throws -> Void
  ) -> BenchCase<EnforcementRun> {
    BenchCase(name: name, summary: summary) { run in
      let (policies, _) = try await run.appliedPolicies()
      var all: [EnforcementStage.Spent] = []
      for round in 0..<rounds {
        all.append(
          try await policies.stage.step { session in
            try await change(round, policies.world, session)
            try await session.submitEvaluations()
          })
      }
      return figures(name, all)
    }
  }

  private static func figures(_ name: String, _ all: [EnforcementStage.Spent]) -> [Measurement] {
    func middle(_ part: (EnforcementStage.Spent) -> Double) -> Double { median(all.map(part)) }
    return [
      Measurement("\(name)/target", middle(\.target.active), "ms", ceiling: middle(\.twin.active)),
      // What comes after it, when access has ended.
      Measurement("\(name)/look", middle(\.target.looking), "ms"),
      Measurement("\(name)/settled", middle(\.wall) * 1e3, "ms"),
      Measurement("\(name)/evaluated", middle(\.evaluating) * 1e3, "ms"),
      Measurement("\(name)/statements", middle { Double($0.target.count) }, "statements"),
      Measurement("\(name)/failed", Double(all.map(\.failed).reduce(0, +)), "jobs"),
    ]
  }

  private static let newTable = BenchCase<EnforcementRun>(
    name: "new-table", summary: "a table that policies concern appears, and its schema is synced"
  ) { run in
    let (policies, _) = try await run.appliedPolicies()
    let name = PolicyWorld.tableName(99_999, policies: [0, 1])
    for target in [policies.stage.target, policies.stage.twin] {
      try await target.makeTables([name], schema: PolicyWorld.schema)
    }
    let spent = try await policies.stage.step { session in
      _ = try await session.submitSync(
        of: try SecurablePath(
          parts: [EnforcementStage.connectionName, BenchTarget.database, PolicyWorld.schema]), evenInactive: false
      )
    }
    return figures("new-table", [spent])
  }

  /// Nothing has changed: what it costs to find that out, and that nothing is written. Beside it, the sweep after all
  /// that the cases before it have written, and a sync, which compares everything.
  private static let sweep = BenchCase<EnforcementRun>(
    name: "sweep", summary: "a sweep for drift where nothing has changed since the last one"
  ) { run in
    let stage = try await run.appliedPolicies().stage.stage
    let rows = try await stage.target.catalogRows()
    let first = try await stage.step { try await $0.submitSweep(of: stage.connection.id) }
    let spent = try await stage.step { try await $0.submitSweep(of: stage.connection.id) }
    let whole = try await stage.step { session in
      _ = try await session.submitSync(
        of: try SecurablePath(parts: [EnforcementStage.connectionName]), evenInactive: false)
    }
    return [
      Measurement("sweep/target", spent.target.active / 1e3, "s"),
      Measurement("sweep/settled", spent.wall, "s"),
      Measurement("sweep/after-changes", first.wall, "s"),
      Measurement("sweep/with-sync", whole.wall, "s"),
      Measurement("sweep/rows", try await stage.target.catalogRows() - rows, "rows"),
      Measurement("sweep/failed", Double(first.failed + spent.failed + whole.failed), "jobs"),
    ]
  }

  /// Everything is read back and compared; beside it, psql reading every entry of every access control list.
  private static let verify = BenchCase<EnforcementRun>(
    name: "verify", summary: "sluice plan on a target that is as desired: all of it is read back and compared"
  ) { run in
    let stage = try await run.appliedPolicies().stage.stage
    let began = ContinuousClock.now
    try await stage.sluice("plan", EnforcementStage.connectionName)
    let seconds = began.duration(to: .now).seconds
    let file = "\(stage.directory)/entries.sql"
    try """
    copy (select c.oid, x.* from pg_class c, aclexplode(nullif(c.relacl || '{}'::aclitem[], '{}')) x) to stdout;
    copy (select roleid, member, grantor from pg_auth_members) to stdout;
    """.write(toFile: file, atomically: false, encoding: .utf8)
    return [Measurement("verify", seconds, "s", ceiling: try await stage.twin.psql(file))]
  }
}
