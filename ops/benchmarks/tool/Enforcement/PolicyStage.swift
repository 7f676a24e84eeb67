import Foundation
import Governance
import Metadata

/// A stage in whose target the policies of a world have been applied.
struct PolicyStage: Sendable {
  let stage: EnforcementStage
  let world: PolicyWorld

  /// Makes tables, people and policies, and measures the first apply.
  static func apply(_ scale: EnforcementScale, on stage: EnforcementStage) async throws -> (PolicyStage, [Measurement])
  {
    let world = PolicyWorld(scale)
    for target in [stage.target, stage.twin] { try await target.makeTables(world.tables, schema: PolicyWorld.schema) }
    try await stage.metadata.transaction { session in
      for user in world.users { _ = try await session.addIdentity(name: user, email: nil, role: nil) }
      try await session.addGroup(PolicyWorld.half)
      let half = world.users.indices.filter { $0.isMultiple(of: 2) }.map { world.users[$0] }
      _ = try await session.changeMembers(of: PolicyWorld.half, users: half, add: true)
      for (policy, members) in world.members.enumerated() {
        try await session.addGroup(PolicyWorld.group(policy))
        _ = try await session.changeMembers(
          of: PolicyWorld.group(policy), users: members.map { world.users[$0] }, add: true)
      }
    }
    try await stage.sync()
    let rows = try await stage.target.catalogRows()
    let spent = try await stage.step { session in
      for policy in world.members.indices { _ = try await session.apply(try PolicyWorld.policy(policy)) }
      try await session.submitEvaluations()
    }
    let applied = PolicyStage(stage: stage, world: world)
    let written = try await stage.target.catalogRows() - rows
    let single = try await applied.oneByOne()
    return (applied, figures(spent, rows: written, oneByOne: single, audiences: try await applied.audiences()))
  }

  private static func figures(
    _ spent: EnforcementStage.Spent, rows: Double, oneByOne: Double, audiences: Int
  ) -> [Measurement] {
    [
      Measurement("apply/first", spent.applying, "s", ceiling: spent.psql),
      Measurement("apply/settled", spent.wall, "s"),
      Measurement("apply/evaluated", spent.evaluating, "s"),
      Measurement("apply/target", spent.target.active / 1e3, "s", ceiling: spent.twin.active / 1e3),
      Measurement("apply/one-by-one", oneByOne, "s"),
      Measurement("apply/faster-than-one-by-one", oneByOne / spent.applying, "times"),
      Measurement("apply/audiences", Double(audiences), "roles"),
      Measurement("apply/statements", Double(spent.target.count), "statements"),
      Measurement("apply/rows", rows, "rows"),
      Measurement("apply/wal", spent.target.walBytes / 1e6, "MB", ceiling: spent.twin.walBytes / 1e6),
      Measurement("apply/failed", Double(spent.failed), "jobs"),
    ]
  }

  /// How long one GRANT for each pair would take, by what it takes for some of them.
  private func oneByOne() async throws -> Double {
    let pairs = world.sample.map { "ON \(PolicyWorld.schema).\"\($0.table)\"" + " %@ \"\($0.user)\";" }
    func write(_ name: String, _ verb: String, _ word: String) throws -> String {
      let file = "\(stage.directory)/\(name).sql"
      let lines = pairs.map { "\(verb) SELECT " + $0.replacing("%@", with: word) }
      try lines.joined(separator: "\n").write(toFile: file, atomically: false, encoding: .utf8)
      return file
    }
    let seconds = try await stage.twin.psql(try write("pairs", "GRANT", "TO"))
    _ = try await stage.twin.psql(try write("no-pairs", "REVOKE", "FROM"))
    return seconds / Double(pairs.count) * Double(world.pairs)
  }

  private func audiences() async throws -> Int {
    Int(
      try await stage.metadata.read { session in
        try await session.connection.query("select count(*) as n from audience").rows[0].int("n")
      })
  }
}
