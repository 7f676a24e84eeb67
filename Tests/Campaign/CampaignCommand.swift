import ArgumentParser
import Foundation
import UnixSignals

@main
struct CampaignCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "campaign",
    abstract: "Crashes real processes and servers under load, and checks what is left.",
    discussion: """
      Schedulers, workers, Redis with its sentinels, a metadata database and a target of their own are killed, paused, \
      flushed, failed over and cut off in the random order of a seed, while subscriptions and policies change. Then \
      target, ledger and Redis are read: exit 1 if one of the promises did not hold.

      Example: ops/campaign --seconds 600 --seed 7
      """)

  @Option(help: "How long faults are injected.") var seconds = 60
  @Option(help: "Seconds between two faults on average; less in a short run, so that every kind has its turn.")
  var gap = 3.0
  @Option(help: "The seed of faults and requests; a random one without it.") var seed: UInt64?
  @Option(help: .init("Only faults whose name holds this; may be given more than once.", valueName: "text"))
  var only: [String] = []
  @Flag(help: "Keep the directory with all logs; it stays in any case when something is wrong.") var keep = false
  @Flag(inversion: .prefixedNo, help: "A replica and three sentinels beside the primary Redis.") var sentinels = true
  @Option(help: .init("Where everything is kept; a new directory below /tmp without it.", valueName: "dir"))
  var state: String?

  func validate() throws {
    if !(1...86_400).contains(seconds) { throw ValidationError("--seconds is 1 to 86400.") }
    for text in only where !FaultKind.allCases.contains(where: { $0.rawValue.contains(text) }) {
      throw ValidationError("No fault is named \(text): \(FaultKind.allCases.map(\.rawValue).joined(separator: "; ")).")
    }
    if !(0.1...60).contains(gap) { throw ValidationError("--gap is 0.1 to 60.") }
  }

  func run() async throws {
    let directory = try makeDirectory()
    let options = CampaignRun.Options(
      seconds: seconds, gap: gap, seed: seed ?? UInt64.random(in: 1...999_999), executable: try Self.executable(),
      directory: directory, withSentinels: sentinels, only: only)
    Self.tell("campaign: seed \(options.seed), \(seconds) s of faults, logs in \(directory)")
    do {
      let outcome = try await interruptible { try await CampaignRun(options).run() }
      try conclude(outcome, options)
    } catch let error as ExitCode { throw error } catch {
      Self.tell("campaign: seed \(options.seed) was not carried through: \(error)\nlogs are in \(directory)")
      throw ExitCode(2)
    }
  }

  private func conclude(_ outcome: CampaignOutcome, _ options: CampaignRun.Options) throws {
    Self.tell(outcome.report)
    guard outcome.violations.isEmpty else {
      for violation in outcome.violations { Self.tell("VIOLATED  \(violation)") }
      Self.tell(
        "campaign: seed \(options.seed): \(outcome.violations.count) violations; logs are in \(options.directory)")
      throw ExitCode(1)
    }
    Self.tell("campaign: seed \(options.seed): all promises held")
    if !keep { try FileManager.default.removeItem(atPath: options.directory) }
  }

  /// Straight to standard output, as the log of faults goes there: a buffer in between would mix up their order.
  private static func tell(_ text: String) {
    FileHandle.standardOutput.write(Data("\(text)\n".utf8))
  }

  /// The servers run as another user where this one is root: they must be able to pass through.
  private func makeDirectory() throws -> String {
    let path = state ?? "/tmp/sluice-campaign-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o711])
    return path
  }

  /// The built binary beside this one.
  private static func executable() throws -> String {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("sluice").path
  }

  /// A first SIGINT or SIGTERM cancels the work, which stops everything that it started.
  private func interruptible<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await body() }
      group.addTask {
        for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm) { throw CampaignError("interrupted") }
        return nil
      }
      var value: Value?
      while value == nil, let next = try await group.next() { value = next }
      group.cancelAll()
      guard let value else { throw CancellationError() }
      return value
    }
  }
}
