import Foundation
import LocalServers
import Platform
import Postgres

/// Who and what there is: users, groups, and tables in the databases of two targets.
struct Population: Sendable {
  static let schema = "demo"
  /// The connections and their databases, the first of which is the one that Sluice logs in to.
  static let connections = [(name: "lab", databases: ["lab_one", "lab_two"]), (name: "hub", databases: ["hub_one"])]
  private static let tablesEach = 6
  private static let owner = "lab_owner"
  private static let syncLimit = "120"

  /// Users whose subscriptions are flipped in batches; each producer has its own, so that it knows what it asked for last.
  static let flipped = [["ben", "bea", "bob", "bix"], ["cal", "cia", "cyd", "cem"]]
  /// Users who get access by policy alone.
  static let governed = ["dan", "dee", "dov"]
  /// Users each of whom is subscribed, revoked and watched, one step at a time.
  static let witnesses = ["wim", "wes", "wyn"]
  static let groups = ["readers", "writers"]

  static var users: [String] { flipped.flatMap(\.self) + governed + witnesses }

  static var databases: [String] { connections.flatMap(\.databases) }

  static func connection(of database: String) -> String {
    connections.first { $0.databases.contains(database) }?.name ?? ""
  }

  static var tables: [TableName] {
    databases.flatMap { database in (1...tablesEach).map { TableName(database: database, table: "t\($0)") } }
  }

  /// Roles of the target that are not Sluice's to make or drop.
  static let baseline: Set<String> = ["postgres", owner, CampaignCluster.user]

  /// Makes databases, roles and tables, migrates, registers the targets.
  static func settle(on cluster: CampaignCluster) async throws {
    try await makeMetadata(cluster)
    for (name, databases) in connections { try await makeTarget(cluster, cluster.target(name), databases) }
    let command = cluster.command
    try await command.require(["key", "generate", "--file", "\(cluster.directory)/secret.key"])
    try await command.require(["migrate"])
    try await cluster.withAdmin(cluster.metadata, "sluice") { try await Transitions.install(in: $0) }
    for user in users { try await command.require(["user", "add", user]) }
    for group in groups { try await command.require(["group", "add", group]) }
    for (name, databases) in connections {
      try await command.require([
        "connection", "register", name, "--kind", "postgres", "--host", cluster.address, "--port",
        "\(cluster.target(name).port)", "--database", databases[0], "--user", CampaignCluster.user, "--tls",
        "disable", "--sync-every", "1m",
      ])
    }
  }

  /// Once schedulers and workers run.
  static func awaitFirstSync(on cluster: CampaignCluster) async throws {
    for (name, _) in connections {
      try await cluster.command.untilDone(["submit", "sync", name, "--wait", "--timeout", syncLimit])
    }
  }

  private static func makeMetadata(_ cluster: CampaignCluster) async throws {
    try await cluster.withAdmin(cluster.metadata, "postgres") { admin in
      try await admin.execute(
        "create role \(CampaignCluster.user) login password '\(CampaignCluster.password)'")
      _ = try await admin.query("create database sluice owner \(CampaignCluster.user)")
    }
  }

  private static func makeTarget(
    _ cluster: CampaignCluster, _ target: PrivatePostgres, _ databases: [String]
  ) async throws {
    try await cluster.withAdmin(target, "postgres") { admin in
      try await admin.execute(
        """
        create role \(CampaignCluster.user) login createrole password '\(CampaignCluster.password)';
        create role \(owner) nologin
        """)
      for database in databases {
        _ = try await admin.query("create database \(database) owner \(owner)")
        try await admin.execute(
          """
          revoke connect on database \(database) from public;
          grant connect on database \(database) to \(CampaignCluster.user) with grant option
          """)
      }
    }
    for database in databases {
      try await cluster.withAdmin(target, database) { admin in
        try await admin.execute(tableScript(in: database))
        try await admin.execute(slowness)
      }
    }
  }

  /// Every GRANT and REVOKE takes its time, so that faults find batches in the middle of their transactions.
  private static let slowness = """
    create function \(schema).rest() returns event_trigger language plpgsql as $$
      begin perform pg_sleep(case when random() < 0.2 then random() * 0.4 else 0.01 end); end $$;
    create event trigger rest on ddl_command_end when tag in ('GRANT', 'REVOKE') execute function \(schema).rest()
    """

  /// Tables as their owner would have made them, with what Sluice needs to grant on them.
  private static func tableScript(in database: String) -> String {
    let user = CampaignCluster.user
    let tables = tables.filter { $0.database == database }.map { name in
      """
      create table \(schema).\(name.table) (id serial, note text);
      alter table \(schema).\(name.table) owner to \(owner);
      grant select, insert, update, delete, truncate on \(schema).\(name.table) to \(user) with grant option;
      """
    }
    return """
      create schema \(schema) authorization \(owner);
      grant usage on schema \(schema) to \(user) with grant option;
      \(tables.joined(separator: "\n"))
      grant usage on all sequences in schema \(schema) to \(user) with grant option
      """
  }
}

extension SluiceCommand {
  /// Runs it once, while nothing is wrong yet.
  func require(_ words: [String]) async throws {
    let answer = try await run(words)
    guard answer.status.isSuccess else { throw CampaignError("\(answer)") }
  }
}

extension CampaignCluster {
  /// Lends a superuser's session, over the server's own socket.
  @discardableResult
  func withAdmin<Value: Sendable>(
    _ server: PrivatePostgres, _ database: String, _ body: (PostgresConnection) async throws -> Value
  ) async throws -> Value {
    let connection = try await openAdmin(server, database)
    do {
      let value = try await body(connection)
      await connection.close()
      return value
    } catch {
      await connection.close()
      throw error
    }
  }

  func openAdmin(_ server: PrivatePostgres, _ database: String) async throws -> PostgresConnection {
    var configuration = PostgresConfiguration(
      host: server.socketDirectory, port: server.port, database: database, user: server.options.superuser)
    configuration.applicationName = "campaign"
    return try await PostgresConnection.connect(configuration)
  }
}
