import ArgumentParser
import Governance
import Metadata

struct SubscriptionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "subscription", abstract: "Who is subscribed to what.",
    discussion: "Example: sluice subscription list --user ana", subcommands: [List.self])

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists subscriptions, by hand and by policy, with how and until when.",
      discussion: "Example: sluice subscription list --path prod/databricks_postgres -o jsonl")

    @Option(help: "Only this user's.") var user: String?
    @Option(help: .init("Only those at or below a path.", valueName: "path"), transform: PathText.parse)
    var path: SecurablePath?
    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await common.settingOptions.withMetadata { metadata, _ in
        let subscriptions = try await metadata.read { session in
          if let user { _ = try await session.identity(named: user) }
          if let path { try await session.requireExistence(of: path) }
          return try await session.subscriptions(user: user, below: path)
        }
        try common.output.list(
          subscriptions.map(\.record), columns: ["user", "path", "access", "origin", "expires_at", "barred_by"],
          empty: "there are no subscriptions")
      }
    }
  }
}

extension MetadataSession {
  /// A path that names nothing is an error, not an empty answer.
  func requireExistence(of path: SecurablePath) async throws {
    _ = try await connection(named: path.connection)
    if path.level != .connection { _ = try await securable(at: path) }
  }
}

extension Subscription {
  var record: OutputRecord {
    [
      "user": .text(user), "path": .text(path.description), "data_source": .text(path.displayName),
      "access": .text(access.rawValue),
      "origin": .text(policies.isEmpty ? origin : "\(origin): \(policies.joined(separator: ", "))"),
      "policies": .texts(policies), "expires_at": .optional(expiresAt), "barred_by": .optional(barredBy),
      "created_at": .optional(createdAt),
    ]
  }
}
