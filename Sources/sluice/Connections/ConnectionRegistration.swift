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
  /// - Parameter force: store it although checks failed; what is registered already is refused all the same.
  func run(dryRun: Bool, force: Bool) async throws {
    try Connection.validate(name: draft.name)
    try await refuseDuplicateName()
    let key = try settings.sealingKey()
    let result = try await lines()
    try showForPeople(result.lines)
    // After the checks: what they found is told in any case.
    let known = KnownInstances(metadata: metadata, settings: settings)
    try await known.refuseSameDescription(as: draft)
    if result.serverVersion != nil { try await known.refuseSameServer(as: draft, secret: secret) }
    let failed = result.lines.count { $0.verdict == .failed }
    guard failed == 0 || force else {
      try showForMachines(result.lines, job: nil)
      throw CommandFailure.refused(
        "connection \(draft.name) was not registered: \(Self.failures(failed)); mend that, or register with --force")
    }
    guard !dryRun else {
      try showForMachines(result.lines, job: nil)
      return output.note("a dry run: nothing was stored")
    }
    let job = try await store(serverVersion: result.serverVersion, key)
    try showForMachines(result.lines, job: job)
    if output.form == .table {
      try Output.standardOutput("registered connection \(draft.name); job \(job) syncs it\n")
    }
  }

  /// Checks only; throws if one failed.
  func check() async throws {
    let result = try await lines()
    if output.form == .table {
      try showForPeople(result.lines)
    } else {
      try output.list(result.lines.map(\.record))
    }
    try Self.requireSuccess(of: result.lines, "connection \(draft.name)")
  }

  /// Throws if a check failed; the lines say what.
  static func requireSuccess(of lines: [CheckLine], _ what: String) throws {
    let failed = lines.count { $0.verdict == .failed }
    guard failed == 0 else { throw CommandFailure.refused("\(what): \(failures(failed))") }
  }

  private static func failures(_ count: Int) -> String { count == 1 ? "1 check failed" : "\(count) checks failed" }

  private func store(serverVersion: Int?, _ key: SealingKey) async throws -> Int64 {
    var checked = draft
    checked.serverVersion = serverVersion
    let wanted = checked
    return try await metadata.transaction { session in
      let stored = try await session.insert(wanted, secret: secret, key: key)
      try await session.audit(
        AuditEntry(actor: Operator.name, action: "connection register", connection: stored.name))
      return try await session.submitSync(of: .init(parts: [stored.name]), evenInactive: false).id
    }
  }

  /// Told before the checks, which take their time.
  private func refuseDuplicateName() async throws {
    let known = try await metadata.read { try await $0.connections() }
    guard !known.contains(where: { $0.name == draft.name }) else {
      throw MetadataError(
        .alreadyExists,
        "a connection named \"\(draft.name)\" exists already; see it with: sluice connection show \(draft.name)")
    }
  }

  func lines() async throws -> (lines: [CheckLine], serverVersion: Int?) {
    try await settings.withTargets(metadata) { targets in
      await ConnectionCheck(targets: targets).run(draft, secret: secret)
    }
  }

  /// A line a check.
  func showForPeople(_ lines: [CheckLine]) throws {
    guard output.form == .table else { return }
    let width = lines.map(\.name.count).max() ?? 0
    for line in lines {
      let name = line.name.padding(toLength: width, withPad: " ", startingAt: 0)
      let verdict = line.verdict.rawValue.padding(toLength: 7, withPad: " ", startingAt: 0)
      // Drivers often end their message with the very remedy.
      let remedy = line.remedy.flatMap { line.message.contains($0) ? nil : "; \($0)" } ?? ""
      try Output.standardOutput("\(verdict)  \(name)  \(OutputValue.text(line.message + remedy).cell)\n")
    }
  }

  /// One document: what became of the registration, and every check.
  private func showForMachines(_ lines: [CheckLine], job: Int64?) throws {
    guard output.form != .table else { return }
    try output.item([
      "name": .text(draft.name), "registered": .bool(job != nil), "job": .optional(job),
      "checks": .list(lines.map { .record($0.record) }),
    ])
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
