import ArgumentParser
import Metadata

struct UserCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "user", abstract: "Users, and the PostgreSQL roles they have.",
    discussion: "Example: sluice user add ana --email ana@example.com --role ana@example.com",
    subcommands: [UserAdd.self, UserList.self, UserShow.self, UserRemove.self, UserMap.self])
}

struct UserAdd: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add", abstract: "Adds a user.",
    discussion: """
      Without --role the user's name is the name of the PostgreSQL role, on every connection that maps nothing else.

      Example: sluice user add ana --email ana@example.com --attribute region=emea --attribute clearance=2
      """)

  @Argument(help: "The user's name, 1 to 255 bytes.") var name: String
  @Option(help: "The e-mail address, as conditions see it.") var email: String?
  @Option(help: .init("The PostgreSQL role on every connection without a mapping.", valueName: "pgrole"))
  var role: String?
  @Option(help: .init("An attribute for conditions; a key given again has several values.", valueName: "key=value"))
  var attribute: [AttributePair] = []
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try NameCheck.requireName(name, of: "user")
    try await common.settingOptions.withMetadata { metadata, _ in
      try await metadata.transaction { session in
        if let role { try await session.requireFree(role) }
        let id = try await session.addIdentity(name: name, email: email, role: role)
        for (key, values) in AttributePair.grouped(attribute) {
          try await session.setAttribute(key, of: id, to: values)
        }
        try await session.audit(AuditEntry(actor: Operator.name, action: "user add", identity: name))
        try await session.submitEvaluations()
      }
      try common.output.done("added user \(name)", ["name": .text(name), "added": .bool(true)])
    }
  }
}

struct UserList: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Lists users with their groups and attributes.",
    discussion: "Example: sluice user list -o jsonl")

  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let users = try await metadata.read { try await $0.identities() }
      try common.output.list(users.map(\.record), empty: "there are no users; add one with: sluice user add NAME")
    }
  }
}

struct UserShow: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Shows a user, the roles on each connection, and all subscriptions.",
    discussion: "Example: sluice user show ana")

  @Argument(help: "The user's name.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let record = try await metadata.read { session in
        let user = try await session.identity(named: name)
        var record = user.record
        let roles = try await session.roles(of: user.id).map { role -> OutputValue in
          .record(["connection": .text(role.name), "role": .text(role.role)])
        }
        let subscriptions = try await session.subscriptions(user: name, below: nil).map(\.record)
        record.fields += [
          .init(name: "roles", value: .list(roles)),
          .init(name: "subscriptions", value: .list(subscriptions.map(OutputValue.record))),
        ]
        return record
      }
      try common.output.item(record)
    }
  }
}

struct UserRemove: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove", abstract: "Removes a user; what Sluice granted to the user's roles is revoked by jobs.",
    discussion: "Example: sluice user remove ana")

  @Argument(help: "The user's name.") var name: String
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      try await metadata.transaction { session in
        let user = try await session.identity(named: name)
        let roles = try await session.roles(of: user.id)
        try await session.removeIdentity(user.id)
        try await session.audit(AuditEntry(actor: Operator.name, action: "user remove", identity: name))
        for role in roles { try await session.submitGrantee(role.role, on: role.connection, isLoss: true) }
        try await session.submitEvaluations()
      }
      try common.output.done("removed user \(name)", ["name": .text(name), "removed": .bool(true)])
    }
  }
}

struct UserMap: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "map", abstract: "Says which PostgreSQL role a user has on a connection.",
    discussion: """
      --none: the user has no account there; --unset: back to the user's own role. What the former role held through \
      Sluice is revoked by jobs.

      Example: sluice user map ana prod ana@example.com
      """)

  @Argument(help: "The user's name.") var name: String
  @Argument(help: "The connection.") var connection: String
  @Argument(help: "The PostgreSQL role.") var role: String?
  @Flag(help: "The user has no account there.") var none = false
  @Flag(help: "Back to the user's own role.") var unset = false
  @OptionGroup var common: CommonOptions

  func validate() throws {
    let given = [role != nil, none, unset].filter { $0 }.count
    guard given == 1 else { throw ValidationError("Give one of: a role, --none, --unset.") }
  }

  private var mapping: RoleMapping {
    if let role { return .role(role) }
    return none ? .noAccount : .unset
  }

  func run() async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let now = try await metadata.transaction { session in
        let user = try await session.identity(named: name)
        let target = try await session.connection(named: connection)
        if let role { try await session.requireFree(role, on: target) }
        let before = try await session.role(of: user.id, on: target.id)
        try await session.map(user.id, on: target.id, to: mapping)
        let after = try await session.role(of: user.id, on: target.id)
        try await session.audit(
          AuditEntry(
            actor: Operator.name, action: "user map", connection: connection, identity: name,
            detail: ["role": after ?? "none"]))
        if before != after { try await session.submitMapping(from: before, to: after, on: target.id) }
        return after
      }
      let sentence = now.map { "\(name) is role \($0) on \(connection)" } ?? "\(name) has no account on \(connection)"
      try common.output.done(
        sentence, ["name": .text(name), "connection": .text(connection), "role": .optional(now)])
    }
  }
}

extension Identity {
  var record: OutputRecord {
    let attributes = attributes.sorted { $0.key < $1.key }.map { key, values in
      OutputRecord.Field(name: key, value: values.count == 1 ? .text(values[0]) : .texts(values))
    }
    return [
      "name": .text(name), "email": .optional(email), "role": .optional(role), "groups": .texts(groups),
      "attributes": .record(OutputRecord(attributes)),
    ]
  }
}

extension MetadataSession {
  func role(of identity: Int64, on connection: Int64) async throws -> String? {
    try await roles(of: identity).first { $0.connection == connection }?.role
  }
}
