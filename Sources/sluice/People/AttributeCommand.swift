import ArgumentParser
import Metadata

/// `key=value` of an attribute.
struct AttributePair: ExpressibleByArgument, Sendable {
  let key: String
  let value: String

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
    key = String(argument[..<equals])
    value = String(argument[argument.index(after: equals)...])
  }

  /// The values of each key in the order given, keys sorted.
  static func grouped(_ pairs: [AttributePair]) -> [(key: String, values: [String])] {
    Dictionary(grouping: pairs, by: \.key).map { ($0.key, $0.value.map(\.value)) }.sorted { $0.key < $1.key }
  }
}

struct AttributeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attribute", abstract: "Attributes of users, which conditions ask for.",
    discussion: "Example: sluice attribute set ana region=emea", subcommands: [Set.self, Unset.self])

  struct Set: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Sets keys to exactly the values given.",
      discussion: "A key given again has several values.\n\nExample: sluice attribute set ana region=emea region=apac")

    @Argument(help: "The user's name.") var user: String
    @Argument(help: .init("What to set.", valueName: "key=value")) var pairs: [AttributePair]
    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await AttributeCommand.change(user, AttributePair.grouped(pairs), common)
    }
  }

  struct Unset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes keys with all their values.", discussion: "Example: sluice attribute unset ana region")

    @Argument(help: "The user's name.") var user: String
    @Argument(help: "What to remove.") var keys: [String]
    @OptionGroup var common: CommonOptions

    func run() async throws {
      // `k=v` is understood too: what follows the sign says only what was there.
      let names = keys.map { String($0.prefix { $0 != "=" }) }
      try await AttributeCommand.change(user, names.map { ($0, []) }, common)
    }
  }

  private static func change(
    _ user: String, _ changes: [(key: String, values: [String])], _ common: CommonOptions
  ) async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let attributes = try await metadata.transaction { session in
        let identity = try await session.identity(named: user)
        for (key, values) in changes { try await session.setAttribute(key, of: identity.id, to: values) }
        let after = try await session.identity(named: user)
        if after.attributes != identity.attributes {
          try await session.audit(
            AuditEntry(
              actor: Operator.name, action: "attribute", identity: user,
              detail: Dictionary(uniqueKeysWithValues: changes.map { ($0.key, $0.values.joined(separator: ", ")) })))
          try await session.submitEvaluations()
        }
        return after.record["attributes"] ?? .null
      }
      try common.output.done("\(user): \(attributes.cell)", ["name": .text(user), "attributes": attributes])
    }
  }
}
