import Foundation
import Platform
import RandomTestKit

/// Subscribes a user to a table, sees the access in the target, revokes it, and has the target watched until the
/// next subscribe: what was reported revoked must not come back.
struct Witness: Sendable {
  private static let watch = 0.5...4.0
  private static let waitLimit = "90"
  /// Longer than the command's own limit.
  private static let commandLimit: Duration = .seconds(120)
  private static let retryDelay: Duration = .milliseconds(300)

  let user: String
  let command: SluiceCommand
  let revokes: RevokeWatch
  let seed: UInt64
  let stream: Int

  func run(_ load: LoadSwitch) async throws -> FlipProducer.Outcome {
    var generator = SeededGenerator(seed: seed, stream: stream)
    var requests = 0
    while load.isOn {
      let table = Population.tables[Int.random(in: 0..<Population.tables.count, using: &generator)]
      let key = AccessKey(user: user, table: table)
      await revokes.end(key)
      try await submit("subscribe", key)
      await revokes.expectAccess(key)
      try await submit("revoke", key)
      await revokes.begin(key)
      requests += 2
      try await pause(generator.duration(Self.watch))
    }
    let keys = Population.tables.map { AccessKey(user: user, table: $0) }
    return .init(desired: Dictionary(uniqueKeysWithValues: keys.map { ($0, Access.none) }), requests: requests)
  }

  /// Until it is reported completed: an outage may end the wait although the job lives on.
  private func submit(_ kind: String, _ key: AccessKey) async throws {
    let words = ["submit", kind, "--user", user, "--path", key.table.path, "--wait", "--timeout", Self.waitLimit]
    let deadline = Deadline.after(SluiceCommand.patience)
    while true {
      let answer = try await command.run(words, limit: Self.commandLimit)
      if answer.status.isSuccess { return }
      try await command.failures.note(answer)
      guard !deadline.hasPassed else { throw CampaignError("never completed in \(SluiceCommand.patience): \(answer)") }
      try await pause(Self.retryDelay)
    }
  }
}
