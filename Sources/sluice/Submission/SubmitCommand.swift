import ArgumentParser
import Governance
import Metadata
import Platform

struct SubmitCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "submit", abstract: "Changes who is subscribed to what, or asks for a sync, and submits the jobs.",
    discussion: """
      With --from-file every line of the file is one request:
        {"kind":"subscribe","user":"ana","path":"prod/db/schema/table","access":"read","expires":"2027-01-01T00:00:00Z"}
        {"kind":"revoke","user":"ana","path":"prod/db/schema/table","terminate_sessions":true}
        {"kind":"sync","path":"prod"}
      All lines are checked before any is submitted, and all are submitted in one transaction; but while the queue is \
      full, in parts that wait for room, no longer than --timeout. The same file again does no harm.

      Example: sluice submit --from-file requests.jsonl --wait
      """,
    subcommands: [SubmitSync.self, SubmitSubscribe.self, SubmitRevoke.self])

  @OptionGroup var file: FileOption
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var common: CommonOptions

  func run() async throws {
    // Not in `validate`, which runs for the subcommands too.
    guard let fromFile = file.fromFile else {
      throw CommandFailure.wrongUsage(
        "give a kind (sync, subscribe, revoke) or --from-file FILE; see: sluice submit -h")
    }
    let file = try SubmissionFile(path: fromFile)
    defer { file.discardCopy() }
    let (count, faults) = try file.inspect()
    if !faults.isEmpty { throw await complete(faults, of: file) }
    try await common.settingOptions.withMetadata { metadata, settings in
      var waiting = waiting
      let deadline = waiting.timeout.map(Deadline.after)
      let jobs = try await BulkSubmission(file: file, metadata: metadata, total: count, deadline: deadline).run()
      if let deadline { waiting.timeout = deadline.remaining }
      let new = jobs.filter(\.isNew).count
      try await waiting.conclude(
        "\(count) requests: \(new) new jobs, \(count - new) coalesced",
        ["requests": .count(count), "new": .count(new), "coalesced": .count(count - new)],
        jobs: jobs.map(\.id), on: metadata, settings, common.output)
    }
  }

  /// The faults of a file, together with the users and paths in its other lines that nobody knows.
  private func complete(_ faults: LineFaults, of file: SubmissionFile) async -> CommandFailure {
    var faults = faults
    do {
      try await common.settingOptions.withMetadata { metadata, _ in
        try await BulkSubmission.addUnknown(in: file, to: &faults, on: metadata)
      }
    } catch {
      Output.standardError("users and paths were not checked: \(Ending.message(of: error))\n")
    }
    return faults.failure(in: file.name)
  }
}

/// The file of `submit --from-file`. Subcommands know it only to refuse it: options may stand before their name.
struct FileOption: ParsableArguments {
  @Option(help: .init("A JSONL file of requests; - for standard input.", valueName: "file"))
  var fromFile: String?

  func requireNone() throws {
    if fromFile != nil { throw ValidationError("--from-file stands alone: every line of the file names its kind.") }
  }
}

struct SubmitSync: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sync", abstract: "Brings the tree to what the target's catalog says.",
    discussion: "Example: sluice submit sync prod --wait --timeout 60")

  @Argument(help: .init("A connection, database, schema or table.", valueName: "path"), transform: PathText.parse)
  var path: SecurablePath
  @Flag(help: "Sync a connection that is not active too.") var inactive = false
  @OptionGroup(visibility: .hidden) var file: FileOption
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let job = try await metadata.transaction { session in
        try await session.submitSync(of: path, evenInactive: inactive)
      }
      job.warnIfQueueIsFull()
      try await waiting.conclude("job \(job.id)", job.record, jobs: [job.id], on: metadata, settings, common.output)
    }
  }

  func validate() throws {
    try file.requireNone()
    try waiting.requireWait()
  }
}

struct SubmitSubscribe: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "subscribe", abstract: "Subscribes a user to a data source.",
    discussion: "Example: sluice submit subscribe --user ana --path prod/db/schema/table --access write --wait")

  @Option(help: "The user's name.") var user: String
  @Option(
    help: .init("The data source, connection/database/schema/table.", valueName: "path"),
    transform: PathText.parse)
  var path: SecurablePath
  @Option(help: "read or write; write includes read.") var access: String?
  @Option(help: .init("When it ends, such as 2027-01-01T00:00:00Z.", valueName: "time")) var expires: String?
  @OptionGroup(visibility: .hidden) var file: FileOption
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let request = try SubmissionLine.checked(
      kind: .subscribe, user: user, path: path, access: access, expires: expires)
    try await SubmitOne(request: request, waiting: waiting, common: common).run()
  }

  func validate() throws {
    try file.requireNone()
    try waiting.requireWait()
  }
}

struct SubmitRevoke: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "revoke", abstract: "Ends a user's subscription by hand to a data source.",
    discussion: """
      --access write leaves the user with read; without it everything is taken. What a policy admits stays: change \
      the policy for that.

      What a session is in the middle of goes on: an open cursor returns its rows after the revoke. With \
      --terminate-sessions the sessions of the user's role in the database end once the revoke is committed; the \
      result says how many did, and which could not and why.

      Example: sluice submit revoke --user ana --path prod/db/schema/table --wait
      """)

  @Option(help: "The user's name.") var user: String
  @Option(
    help: .init("The data source, connection/database/schema/table.", valueName: "path"),
    transform: PathText.parse)
  var path: SecurablePath
  @Option(help: "write leaves the user with read.") var access: String?
  @Flag(help: "End the sessions that the user has open in the database.") var terminateSessions = false
  @OptionGroup(visibility: .hidden) var file: FileOption
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let request = try SubmissionLine.checked(
      kind: .revoke, user: user, path: path, access: access, expires: nil, endsSessions: terminateSessions)
    try await SubmitOne(request: request, waiting: waiting, common: common).run()
  }

  func validate() throws {
    try file.requireNone()
    try waiting.requireWait()
  }
}

/// One subscribe or revoke: resolved, stored and submitted in one transaction.
struct SubmitOne {
  let request: SubscriptionRequest
  let waiting: WaitOptions
  let common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, settings in
      let jobs = try await metadata.transaction { session in
        let (resolved, faults) = try await session.resolve([request])
        if let fault = faults.values.first { throw fault }
        return try await session.apply(resolved, actor: Operator.name)
      }
      guard let job = jobs.first else { throw CommandFailure.refused("the request led to no job") }
      // A revoke is handed over however full the queue is.
      if request.kind != .revoke { job.warnIfQueueIsFull() }
      // Where very many are subscribed, another makes the user a member of their audience.
      try await waiting.conclude(
        "job \(job.id)", job.record, jobs: jobs.map(\.id), on: metadata, settings, common.output)
    }
  }
}

extension SubmissionLine {
  /// A request from flags; what is wrong with it is wrong usage.
  static func checked(
    kind: SubscriptionRequest.Kind, user: String, path: SecurablePath, access: String?, expires: String?,
    endsSessions: Bool = false
  ) throws -> SubscriptionRequest {
    do throws(Fault) {
      return try request(
        kind: kind, user: user, path: path, access: access, expires: expires, endsSessions: endsSessions)
    } catch {
      throw CommandFailure.wrongUsage(error.description)
    }
  }
}

extension SubmittedJob {
  var record: OutputRecord { ["job": .integer(id), "new": .bool(isNew)] }

  func warnIfQueueIsFull() {
    guard isQueueFull else { return }
    Output.standardError(
      "the queue is full: job \(id) waits for room before it waits for its turn; see sluice queue stats\n")
  }
}
