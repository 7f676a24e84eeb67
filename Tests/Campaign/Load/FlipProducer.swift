import Foundation
import Platform
import RandomTestKit

/// Submits batches of subscribes and revokes of its own users, each batch until it is accepted.
struct FlipProducer: Sendable {
  private static let batch = 8...40
  private static let rest = 0.2...0.9

  let name: String
  let users: [String]
  let command: SluiceCommand
  let directory: String
  let seed: UInt64
  let stream: Int

  /// What was asked for last of each user and table.
  struct Outcome: Sendable {
    var desired: [AccessKey: Access] = [:]
    var requests = 0
    var violations: [Violation] = []
  }

  func run(_ load: LoadSwitch) async throws -> Outcome {
    var generator = SeededGenerator(seed: seed, stream: stream)
    let keys = users.flatMap { user in Population.tables.map { AccessKey(user: user, table: $0) } }
    var outcome = Outcome(desired: Dictionary(uniqueKeysWithValues: keys.map { ($0, Access.none) }))
    let path = "\(directory)/\(name).jsonl"
    while load.isOn {
      let count = Int.random(in: Self.batch, using: &generator)
      var lines: [String] = []
      for key in keys.shuffled(using: &generator).prefix(count) {
        let (line, access) = Self.flip(key, from: outcome.desired[key] ?? .none, &generator)
        lines.append(line)
        outcome.desired[key] = access
      }
      try lines.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
      try await command.untilDone(["submit", "--from-file", path])
      outcome.requests += lines.count
      try await pause(generator.duration(Self.rest))
    }
    return outcome
  }

  private static func flip(
    _ key: AccessKey, from access: Access, _ generator: inout SeededGenerator
  ) -> (line: String, access: Access) {
    func line(_ kind: String, _ access: String? = nil) -> String {
      let level = access.map { #","access":"\#($0)""# } ?? ""
      return #"{"kind":"\#(kind)","user":"\#(key.user)","path":"\#(key.table.path)"\#(level)}"#
    }
    switch Int.random(in: 0..<5, using: &generator) {
    case 0, 1: return (line("revoke"), .none)
    case 2: return (line("subscribe", "write"), .write)
    case 3 where access == .write: return (line("revoke", "write"), .read)
    default: return (line("subscribe", "read"), .read)
    }
  }
}
