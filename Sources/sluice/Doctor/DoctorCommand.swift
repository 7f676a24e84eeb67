import ArgumentParser

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Examines a live installation without changing anything; one line a finding.",
    discussion: """
      Looks at the settings of Redis and of the metadata database, the clocks, the queue's invariants, schedulers, \
      workers, dead letters, the age of jobs, the key file, and whether each connection can be reached. Each finding \
      is ok, warning, error, or unknown for what could not be checked, with what to do about it. Exit 1 if one is an \
      error, also if that is a server that cannot be reached; warnings do not fail.

      Example: sluice doctor -o json
      """)

  @Flag(help: "Show only what is not ok.") var quiet = false
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let settings = try common.settingOptions.settings(requiring: [.metadataURL, .redisURL])
    settings.startLogging()
    let findings = try await Examination(settings: settings).run()
    let shown = quiet ? findings.filter { $0.verdict != .ok } : findings
    if common.output.form == .table {
      let width = shown.map(\.check.count).max() ?? 0
      try Output.standardOutput(shown.map { $0.line(width: width) + "\n" }.joined())
    } else {
      try common.output.list(shown.map(\.record))
    }
    let summary = Self.summary(of: findings)
    if findings.contains(where: { $0.verdict == .error }) { throw CommandFailure.refused(summary) }
    common.output.note(summary)
  }

  static func summary(of findings: [Finding]) -> String {
    func count(_ verdict: Finding.Verdict) -> Int { findings.count { $0.verdict == verdict } }
    let unknown = count(.unknown)
    return Counted.text(count(.error), "error") + ", " + Counted.text(count(.warning), "warning")
      + ", \(count(.ok)) ok" + (unknown > 0 ? ", \(unknown) not checked" : "")
  }
}
