import Enforcement
import Metadata
import Platform

/// Registers a connection after trying it; `sluice connection register` and `sluice dev --demo` both come through here.
struct ConnectionRegistration {
  let draft: Connection
  let secret: Secret
  let metadata: MetadataDatabase
  let settings: Settings
  let output: Output

  /// Checks the draft, and stores it with its first sync unless it is a dry run.
  ///
  /// - Parameter force: store it although checks failed.
  func run(dryRun: Bool, force: Bool) async throws {
    try Connection.validate(name: draft.name)
    try await refuseDuplicate()
    let key = try settings.sealingKey()
    let result = try await lines()
    try show(result.lines)
    let failed = result.lines.filter { $0.verdict == .failed }
    if !failed.isEmpty && !force {
      throw CommandFailure.refused(
        "connection \(draft.name) was not registered: \(failed.count) checks failed; mend them, or register with --force"
      )
    }
    if dryRun { return output.note("a dry run: nothing was stored") }
    var checked = draft
    checked.serverVersion = result.serverVersion
    let wanted = checked
    let job = try await metadata.transaction { session in
      let stored = try await session.insert(wanted, secret: secret, key: key)
      try await session.audit(
        AuditEntry(actor: Operator.name, action: "connection register", connection: stored.name))
      return try await session.submitSync(of: .init(parts: [stored.name]), evenInactive: false)
    }
    output.note("registered connection \(draft.name); job \(job.id) syncs it")
  }

  /// Checks only; throws if one failed.
  func check() async throws {
    let result = try await lines()
    try show(result.lines)
    let failed = result.lines.filter { $0.verdict == .failed }
    guard failed.isEmpty else {
      throw CommandFailure.refused("connection \(draft.name): \(failed.count) checks failed")
    }
  }

  /// Told before the checks, which take their time.
  private func refuseDuplicate() async throws {
    let known = try await metadata.read { try await $0.connections() }
    guard !known.contains(where: { $0.name == draft.name }) else {
      throw MetadataError(
        .alreadyExists,
        "a connection named \"\(draft.name)\" exists already; see it with: sluice connection show \(draft.name)")
    }
  }

  private func lines() async throws -> (lines: [CheckLine], serverVersion: Int?) {
    try await settings.withTargets(metadata) { targets in
      await ConnectionCheck(targets: targets).run(draft, secret: secret)
    }
  }

  /// A line a check for people; all fields for machines.
  private func show(_ lines: [CheckLine]) throws {
    guard output.form == .table else { return try output.list(lines.map(\.record)) }
    let width = lines.map(\.name.count).max() ?? 0
    for line in lines {
      let name = line.name.padding(toLength: width, withPad: " ", startingAt: 0)
      // Drivers often end their message with the very remedy.
      let remedy = line.remedy.flatMap { line.message.contains($0) ? nil : "; \($0)" } ?? ""
      Output.standardOutput("\(line.verdict.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0))  \(name)  ")
      Output.standardOutput(OutputValue.text(line.message + remedy).cell + "\n")
    }
  }
}

extension CheckLine {
  var record: OutputRecord {
    [
      "check": .text(name), "verdict": .text(verdict.rawValue), "message": .text(message),
      "remedy": .optional(remedy),
    ]
  }
}
