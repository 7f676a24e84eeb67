import ArgumentParser
import Metadata
import Platform

struct ConnectionRegister: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "register", abstract: "Registers an instance, after trying everything that Sluice needs of it.",
    discussion: """
      Each check is a line; nothing is stored unless all pass, or --force is given. The secret comes from a file, \
      from standard input (-), or from SLUICE_CLIENT_SECRET (SLUICE_PASSWORD for plain PostgreSQL).

      Examples:
        sluice connection register prod --host instance-1.database.cloud.databricks.com --database databricks_postgres \
      --instance my-instance --workspace-url https://my.cloud.databricks.com --client-id ID --client-secret-file secret
        sluice connection register lab --kind postgres --host db.example.com --database app --user sluice \
      --password-file password
      """)

  enum Kind: String, CaseIterable, ExpressibleByArgument, Sendable { case lakebase, postgres }

  @Argument(help: "Letters, digits, - and _.") var name: String
  @Option(help: "lakebase or postgres.") var kind: Kind = .lakebase
  @Option(help: "The host that clients connect to.") var host: String
  @Option(help: "A numeric address to connect to instead of resolving the host.") var hostAddress: String?
  @Option(help: "The port.") var port = 5432
  @Option(help: "The database that the role catalogue is worked in.") var database: String
  @Option(help: .init("The workspace's URL.", valueName: "url")) var workspaceUrl: String?
  @Option(help: .init("The service principal's application id, also its role.", valueName: "id"))
  var clientId: String?
  @Option(help: .init("File of its secret; - for standard input.", valueName: "file")) var clientSecretFile: String?
  @Option(help: "The provisioned instance's name.") var instance: String?
  @Option(help: .init("The autoscaling endpoint.", valueName: "projects/P/branches/B/endpoints/E"))
  var endpoint: String?
  @Option(help: "The role of a plain PostgreSQL.") var user: String?
  @Option(help: .init("File of its password; - for standard input.", valueName: "file")) var passwordFile: String?
  @Option(help: "verify-full, require or disable; verify-full unless a plain PostgreSQL is on this machine.")
  var tls: TLSMode?
  @Option(help: .init("Between two syncs.", valueName: "duration"), transform: WaitOptions.duration)
  var syncEvery: Duration = .seconds(3600)
  @Option(help: "Whether new tables become data sources: enabled or disabled.")
  var newDataSources: DataSourceSetting = .enabled
  @Option(help: "none or individually-selected.") var defaultPolicy: DefaultPolicy = .none
  @Flag(help: "Only check; store nothing.") var dryRun = false
  @Flag(help: "Store it although checks failed.") var force = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if !(1...65535).contains(port) { throw ValidationError("--port is 1 to 65535.") }
    if syncEvery < .seconds(60) { throw ValidationError("--sync-every is at least 1m.") }
    switch kind {
    case .lakebase:
      if workspaceUrl == nil || clientId == nil {
        throw ValidationError("A Lakebase instance needs --workspace-url and --client-id.")
      }
      if (instance == nil) == (endpoint == nil) { throw ValidationError("Give one of --instance and --endpoint.") }
      if user != nil || passwordFile != nil {
        throw ValidationError("--user and --password-file are for --kind postgres.")
      }
    case .postgres:
      if user == nil { throw ValidationError("A plain PostgreSQL needs --user.") }
      if workspaceUrl != nil || clientId != nil || clientSecretFile != nil || instance != nil || endpoint != nil {
        throw ValidationError("Workspace, client and instance are for --kind lakebase.")
      }
    }
  }

  func run() async throws {
    let secret =
      kind == .lakebase
      ? try SecretSource.read(
        file: clientSecretFile, flag: "--client-secret-file", variable: "SLUICE_CLIENT_SECRET")
      : try SecretSource.read(file: passwordFile, flag: "--password-file", variable: "SLUICE_PASSWORD")
    let draft = draft
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let registration = ConnectionRegistration(
        draft: draft, secret: secret, metadata: metadata, settings: settings, output: common.output)
      try await registration.run(dryRun: dryRun, force: force)
    }
  }

  private var draft: Connection {
    var draft = Connection(
      name: name, kind: kind == .lakebase ? .lakebase : .postgres, host: host, database: database,
      username: clientId ?? user ?? "")
    draft.hostAddress = hostAddress
    draft.port = port
    draft.workspaceURL = workspaceUrl
    draft.instance = instance.map { .named($0) } ?? endpoint.map { .endpoint($0) }
    draft.syncEverySeconds = syncEvery.components.seconds
    draft.enablesNewDataSources = newDataSources == .enabled
    draft.defaultPolicy = defaultPolicy.rawValue
    draft.tls = tls?.mode ?? (kind == .postgres && Self.isHere(host) ? .disable : .verifyFull)
    return draft
  }

  private static func isHere(_ host: String) -> Bool {
    host.hasPrefix("/") || host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }
}

enum TLSMode: String, CaseIterable, ExpressibleByArgument, Sendable {
  case verifyFull = "verify-full"
  case require, disable

  var mode: Connection.TLS {
    switch self {
    case .verifyFull: .verifyFull
    case .require: .require
    case .disable: .disable
    }
  }
}

struct ConnectionCheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Tries everything that Sluice needs of a registered instance; a line each.",
    discussion: "Exit 1 if a check fails.\n\nExample: sluice connection check prod")

  @Argument(help: "The connection.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let key = try settings.sealingKey()
      let (target, secret) = try await metadata.read { session in
        let target = try await session.connection(named: name)
        return (target, try await session.secret(of: target.id, key: key))
      }
      let registration = ConnectionRegistration(
        draft: target, secret: secret, metadata: metadata, settings: settings, output: common.output)
      try await registration.check()
    }
  }
}
