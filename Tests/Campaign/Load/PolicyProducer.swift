import Foundation
import Platform
import RandomTestKit

/// Changes who belongs to which group, and which of two policies is in force.
struct PolicyProducer: Sendable {
  private static let rest = 0.8...2.0

  /// A policy that admits a group to one database's tables.
  private struct Policy {
    let name: String
    let group: String
    let database: String
    let access: Access

    func document(isActive: Bool) -> String {
      """
      apiVersion: sluice/v1
      kind: SubscriptionPolicy
      name: \(name)
      effect: grant
      access: \(access)
      state: \(isActive ? "active" : "staged")
      target: { connection: \(Population.connection(of: database)), database: \(database), schema: \(Population.schema) }
      condition: '"\(group)" in user.groups'

      """
    }
  }

  private static let policies = [
    Policy(name: "readers-read-one", group: "readers", database: "lab_one", access: .read),
    Policy(name: "writers-write-two", group: "writers", database: "lab_two", access: .write),
  ]

  let command: SluiceCommand
  let directory: String
  let seed: UInt64
  let stream: Int

  private struct State {
    var members: Set<[String]> = []
    var active: Set<String> = []
  }

  func run(_ load: LoadSwitch) async throws -> FlipProducer.Outcome {
    var generator = SeededGenerator(seed: seed, stream: stream)
    var state = State()
    var requests = 0
    while load.isOn {
      if Int.random(in: 0..<3, using: &generator) == 0 {
        try await flipPolicy(&state, &generator)
      } else {
        try await flipMember(&state, &generator)
      }
      requests += 1
      try await pause(generator.duration(Self.rest))
    }
    return FlipProducer.Outcome(desired: desired(state), requests: requests)
  }

  private func flipPolicy(_ state: inout State, _ generator: inout SeededGenerator) async throws {
    let policy = Self.policies[Int.random(in: 0..<Self.policies.count, using: &generator)]
    let isActive = !state.active.contains(policy.name)
    let path = "\(directory)/\(policy.name).yaml"
    try policy.document(isActive: isActive).write(toFile: path, atomically: true, encoding: .utf8)
    try await command.untilDone(["policy", "apply", "-f", path])
    if isActive { state.active.insert(policy.name) } else { state.active.remove(policy.name) }
  }

  private func flipMember(_ state: inout State, _ generator: inout SeededGenerator) async throws {
    let group = Population.groups[Int.random(in: 0..<Population.groups.count, using: &generator)]
    let user = Population.governed[Int.random(in: 0..<Population.governed.count, using: &generator)]
    let joins = !state.members.contains([group, user])
    try await command.untilDone(["group", "member", joins ? "add" : "remove", group, user])
    if joins { state.members.insert([group, user]) } else { state.members.remove([group, user]) }
  }

  private func desired(_ state: State) -> [AccessKey: Access] {
    var desired: [AccessKey: Access] = [:]
    for user in Population.governed {
      for table in Population.tables {
        let admitting = Self.policies.filter {
          state.active.contains($0.name) && $0.database == table.database && state.members.contains([$0.group, user])
        }
        desired[AccessKey(user: user, table: table)] = admitting.map(\.access).max() ?? Access.none
      }
    }
    return desired
  }
}
