import LocalServers
import Platform

/// Runs `sluice doctor` while faults are on, and once more when all is well.
///
/// During an outage it may find errors; it may not crash, hang or end in a way that its contract does not know.
struct DoctorRounds: Sendable {
  /// Between two rounds.
  private static let rest: Duration = .seconds(5)
  /// Each look waits for a server that does not answer, and many come one after another.
  private static let limit: Duration = .seconds(120)

  let command: SluiceCommand

  func run(_ load: LoadSwitch) async throws -> FlipProducer.Outcome {
    var outcome = FlipProducer.Outcome()
    while load.isOn {
      let answer = try await command.run(["doctor", "-o", "jsonl"], limit: Self.limit)
      if ![.exited(0), .exited(1)].contains(answer.status) {
        outcome.violations.append(Violation(.doctorIsContent, "\(answer)"))
      }
      try await pause(Self.rest)
    }
    return outcome
  }

  /// Once all has drained.
  func finalViolations() async throws -> [Violation] {
    let answer = try await command.run(["doctor", "--quiet"], limit: Self.limit)
    return answer.status.isSuccess ? [] : [Violation(.doctorIsContent, "\(answer)")]
  }
}
