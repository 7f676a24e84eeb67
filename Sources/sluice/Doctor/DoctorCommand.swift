import ArgumentParser

struct DoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Examines a live installation without changing anything; one line a finding.",
    discussion: """
      Looks at the settings of Redis and of the metadata database, the clocks, the queue's invariants, schedulers, \
      workers, dead letters, the age of jobs, the key file, and whether each connection can be reached. Each finding \
      is ok, warning or error, with what to do about it. Exit 1 if one is an error; warnings do not fail.

      Example: sluice doctor -o json
      """)

  @Flag(help: "Show only warnings and errors.") var quiet = false
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
    let errors = findings.count { $0.verdict == .error }
    let warnings = findings.count { $0.verdict == .warning }
    let summary = "\(errors) errors, \(warnings) warnings, \(findings.count - errors - warnings) ok"
    if errors > 0 { throw CommandFailure.refused(summary) }
    common.output.note(summary)
  }
}
