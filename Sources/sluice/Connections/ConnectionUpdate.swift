import ArgumentParser
import Metadata
import Platform

struct ConnectionUpdate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Changes a connection; what is not given stays.",
    discussion: """
      What Sluice logs in with is tried first, and nothing is stored if that fails; --force stores it all the same.

      Example: sluice connection update prod --client-secret-file new-secret --sync-every 30m
      """)

  @Argument(help: "The connection.") var name: String
  @Option(help: "The host.") var host: String?
  @Option(help: "A numeric address to connect to instead of resolving the host.") var hostAddress: String?
  @Option(help: "The port.") var port: Int?
  @Option(help: "The database that the role catalogue is worked in.") var database: String?
  @Option(help: .init("The workspace's URL.", valueName: "url")) var workspaceUrl: String?
  @Option(help: .init("The service principal's application id.", valueName: "id")) var clientId: String?
  @Option(help: .init("Its new secret; - for standard input.", valueName: "file")) var clientSecretFile: String?
  @Option(help: "The role of a plain PostgreSQL.") var user: String?
  @Option(help: .init("Its new password; - for standard input.", valueName: "file")) var passwordFile: String?
  @Option(help: .init("Between two syncs, such as 1h.", valueName: "duration"), transform: WaitOptions.duration)
  var syncEvery: Duration?
  @Option(
    help: .init("Between two sweeps for drift, such as 5m; 0 for none.", valueName: "duration"),
    transform: WaitOptions.duration)
  var sweepEvery: Duration?
  @Option(help: "What becomes of drift: repair it, or observe, which only tells.") var drift: DriftSetting?
  @Option(help: "enabled or disabled.") var newDataSources: DataSourceSetting?
  @Option(help: "none or individually-selected.") var defaultPolicy: DefaultPolicy?
  @Option(help: .init("Roles that Sluice may have in the instance, for audiences and users.", valueName: "count"))
  var roleBudget: Int?
  @Flag(help: "Store it without trying it.") var force = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    let isChange =
      touchesTarget || syncEvery != nil || newDataSources != nil || defaultPolicy != nil || roleBudget != nil
      || sweepEvery != nil || drift != nil
    if !isChange { throw ValidationError("Give at least one thing to change, such as --sync-every 30m.") }
    if user != nil && clientId != nil { throw ValidationError("Give one of --user and --client-id.") }
    if passwordFile != nil && clientSecretFile != nil {
      throw ValidationError("Give one of --password-file and --client-secret-file.")
    }
    if let port, !(1...65535).contains(port) { throw ValidationError("--port is 1 to 65535.") }
    if let syncEvery, syncEvery < .seconds(60) { throw ValidationError("--sync-every is at least 1m.") }
    if let sweepEvery, sweepEvery != .zero, sweepEvery < .seconds(60) {
      throw ValidationError("--sweep-every is at least 1m, or 0 for none.")
    }
    if let roleBudget, !(0...Connection.maximumRoleBudget).contains(roleBudget) {
      throw ValidationError("--role-budget is 0 to \(Connection.maximumRoleBudget).")
    }
  }

  func run() async throws {
    let file = clientSecretFile ?? passwordFile
    let secret = try file.map {
      try SecretSource.read(
        file: $0, flag: clientSecretFile == nil ? "--password-file" : "--client-secret-file",
        variable: "")
    }
    let isTried = touchesTarget && !force
    try await common.settingOptions.withMetadata(requiring: secret == nil && !isTried ? [] : [.secretKeyFile]) {
      metadata, settings in
      if isTried { try await tryOut(secret, metadata, settings) }
      let key = try secret.map { _ in try settings.sealingKey() }
      let (updated, jobs) = try await metadata.transaction { session in
        let before = try await session.connection(named: name)
        let after = changed(before)
        let jobs = try await session.update(after)
        if let secret, let key { try await session.replaceSecret(of: before.id, with: secret, key: key) }
        try await session.audit(AuditEntry(actor: Operator.name, action: "connection update", connection: name))
        return (try await session.connection(named: name), jobs)
      }
      var record = updated.record
      record.fields.append(.init(name: "jobs", value: .count(jobs.count)))
      try common.output.done("updated connection \(name); \(jobs.count) jobs", record)
    }
  }

  /// Whether something changes that Sluice reaches the target with.
  private var touchesTarget: Bool {
    [host, hostAddress, database, workspaceUrl, clientId, clientSecretFile, user, passwordFile].contains { $0 != nil }
      || port != nil
  }

  /// The checks of a registration, on what the connection would be.
  private func tryOut(_ secret: Secret?, _ metadata: MetadataDatabase, _ settings: Settings) async throws {
    let key = try settings.sealingKey()
    let (before, stored) = try await metadata.read { session in
      let before = try await session.connection(named: name)
      return (before, try await session.secret(of: before.id, key: key))
    }
    try requireFit(for: before.kind)
    let draft = changed(before)
    let known = KnownInstances(metadata: metadata, settings: settings)
    try await known.refuseSameDescription(as: draft)
    let registration = ConnectionRegistration(
      draft: draft, secret: secret ?? stored, metadata: metadata, settings: settings, output: common.output)
    let result = try await registration.lines()
    try registration.showForPeople(result.lines)
    try ConnectionRegistration.requireSuccess(
      of: result.lines, "connection \(name) was not changed; mend that, or give --force")
    try await known.refuseSameServer(as: draft, secret: secret ?? stored)
  }

  private func requireFit(for kind: Connection.Kind) throws {
    switch kind {
    case .postgres where workspaceUrl != nil || clientId != nil || clientSecretFile != nil:
      throw CommandFailure.wrongUsage("\(name) is a plain PostgreSQL: give --user and --password-file")
    case .lakebase where user != nil || passwordFile != nil:
      throw CommandFailure.wrongUsage("\(name) is a Lakebase instance: give --client-id and --client-secret-file")
    default: break
    }
  }

  private func changed(_ before: Connection) -> Connection {
    var after = before
    if let host { after.host = host }
    if let hostAddress { after.hostAddress = hostAddress.isEmpty ? nil : hostAddress }
    if let port { after.port = port }
    if let database { after.database = database }
    if let workspaceUrl { after.workspaceURL = workspaceUrl }
    if let username = clientId ?? user { after.username = username }
    if let syncEvery { after.syncEverySeconds = syncEvery.components.seconds }
    if let sweepEvery { after.sweepEverySeconds = sweepEvery.components.seconds }
    if let drift { after.driftMode = drift.mode }
    if let newDataSources { after.enablesNewDataSources = newDataSources == .enabled }
    if let defaultPolicy { after.defaultPolicy = defaultPolicy.rawValue }
    if let roleBudget { after.roleBudget = roleBudget }
    return after
  }
}

enum DataSourceSetting: String, CaseIterable, ExpressibleByArgument, Sendable { case enabled, disabled }

enum DriftSetting: String, CaseIterable, ExpressibleByArgument, Sendable {
  case repair, observe

  var mode: Connection.DriftMode { self == .repair ? .repair : .observe }
}

enum DefaultPolicy: String, CaseIterable, ExpressibleByArgument, Sendable {
  case none
  case individuallySelected = "individually-selected"
}
