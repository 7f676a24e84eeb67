import ArgumentParser
import Metadata
import Platform

struct ConnectionUpdate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Changes a connection; what is not given stays.",
    discussion: """
      Check it afterwards with: sluice connection check NAME

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
  @Option(help: "enabled or disabled.") var newDataSources: DataSourceSetting?
  @Option(help: "none or individually-selected.") var defaultPolicy: DefaultPolicy?
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if let port, !(1...65535).contains(port) { throw ValidationError("--port is 1 to 65535.") }
    if let syncEvery, syncEvery < .seconds(60) { throw ValidationError("--sync-every is at least 1m.") }
  }

  func run() async throws {
    let file = clientSecretFile ?? passwordFile
    let secret = try file.map {
      try SecretSource.read(
        file: $0, flag: clientSecretFile == nil ? "--password-file" : "--client-secret-file",
        variable: "")
    }
    try await common.settingOptions.withMetadata(requiring: secret == nil ? [] : [.secretKeyFile]) {
      metadata, settings in
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

  private func changed(_ before: Connection) -> Connection {
    var after = before
    if let host { after.host = host }
    if let hostAddress { after.hostAddress = hostAddress.isEmpty ? nil : hostAddress }
    if let port { after.port = port }
    if let database { after.database = database }
    if let workspaceUrl { after.workspaceURL = workspaceUrl }
    if let username = clientId ?? user { after.username = username }
    if let syncEvery { after.syncEverySeconds = syncEvery.components.seconds }
    if let newDataSources { after.enablesNewDataSources = newDataSources == .enabled }
    if let defaultPolicy { after.defaultPolicy = defaultPolicy.rawValue }
    return after
  }
}

enum DataSourceSetting: String, CaseIterable, ExpressibleByArgument, Sendable { case enabled, disabled }

enum DefaultPolicy: String, CaseIterable, ExpressibleByArgument, Sendable {
  case none
  case individuallySelected = "individually-selected"
}
