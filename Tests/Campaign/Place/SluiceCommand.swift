import Foundation
import LocalServers
import Platform

/// Runs the built `sluice` as an operator or a script would.
struct SluiceCommand: Sendable {
  struct Answer: Sendable, CustomStringConvertible {
    let words: [String]
    let status: LocalServers.ExitStatus
    /// Both channels.
    let output: String

    var description: String { "sluice \(words.joined(separator: " ")): \(status): \(output)" }
  }

  /// How long a command may take that is asked again until it succeeds.
  static let patience: Duration = .seconds(180)
  private static let limit: Duration = .seconds(60)
  private static let retryDelay: Duration = .milliseconds(300)

  let executable: String
  let environment: [String: String]
  let failures: CommandFailures

  /// One run, whatever comes of it.
  func run(_ words: [String], limit: Duration = Self.limit) async throws -> Answer {
    let run = try await ToolRun.run(
      Launch(executable, words, environment: environment), deadline: .after(limit))
    return Answer(words: words, status: run.status, output: run.output)
  }

  /// Runs it again and again until it succeeds: what is asked may be asked twice, and outages end.
  @discardableResult
  func untilDone(_ words: [String]) async throws -> Answer {
    let deadline = Deadline.after(Self.patience)
    while true {
      let answer = try await run(words)
      if answer.status.isSuccess { return answer }
      try await failures.note(answer)
      guard !deadline.hasPassed else { throw CampaignError("never succeeded in \(Self.patience): \(answer)") }
      try await pause(Self.retryDelay)
    }
  }
}

/// Commands that did not succeed while faults were on: all of them in a file, and how many ended how.
actor CommandFailures {
  private(set) var counts: [String: Int] = [:]
  /// Commands that crashed: no outage is a reason for that.
  private(set) var crashes: [String] = []
  private let path: String
  private let file: FileHandle

  init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path)
    else { throw CampaignError("cannot make \(path)") }
    self.path = path
    self.file = file
  }

  func note(_ answer: SluiceCommand.Answer) throws {
    let name = answer.words.prefix(2).joined(separator: " ")
    counts["\(name): \(answer.status)", default: 0] += 1
    if case .signalled = answer.status { crashes.append("sluice \(name) ended with \(answer.status); see \(path)") }
    try file.write(contentsOf: Data("\(Date().ISO8601Format()) \(answer)\n".utf8))
  }
}
