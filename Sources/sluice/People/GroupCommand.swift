import ArgumentParser
import Metadata

struct GroupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "group", abstract: "Groups of users, which conditions ask for.",
    discussion: "Example: sluice group member add analysts ana",
    subcommands: [Add.self, Remove.self, List.self, Show.self, Member.self])

  struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a group.", discussion: "Example: sluice group add analysts")

    @Argument(help: "The group's name.") var group: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
      try NameCheck.requireName(group, of: "group")
      try await common.settingOptions.withMetadata { metadata, _ in
        try await metadata.transaction { session in
          try await session.addGroup(group)
          try await session.audit(
            AuditEntry(actor: Operator.name, action: "group add", detail: ["group": group]))
        }
        try common.output.done("added group \(group)", ["name": .text(group), "added": .bool(true)])
      }
    }
  }

  struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Removes a group; its members stay users.", discussion: "Example: sluice group remove analysts")

    @Argument(help: "The group's name.") var group: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await common.settingOptions.withMetadata { metadata, _ in
        try await metadata.transaction { session in
          try await session.removeGroup(group)
          try await session.audit(
            AuditEntry(actor: Operator.name, action: "group remove", detail: ["group": group]))
          try await session.submitEvaluations()
        }
        try common.output.done("removed group \(group)", ["name": .text(group), "removed": .bool(true)])
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Lists groups and their members.", discussion: "Example: sluice group list")

    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await common.settingOptions.withMetadata { metadata, _ in
        let groups = try await metadata.read { try await $0.groups() }
        try common.output.list(
          groups.map { ["name": .text($0.name), "members": .texts($0.members)] }, empty: "there are no groups")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows a group.", discussion: "Example: sluice group show analysts")

    @Argument(help: "The group's name.") var group: String
    @OptionGroup var common: CommonOptions

    func run() async throws {
      try await common.settingOptions.withMetadata { metadata, _ in
        for found in try await metadata.read({ try await $0.groups(named: group) }) {
          try common.output.item(["name": .text(found.name), "members": .texts(found.members)])
        }
      }
    }
  }

  struct Member: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Who belongs to a group.", discussion: "Example: sluice group member add analysts ana rui",
      subcommands: [MemberAdd.self, MemberRemove.self])
  }

  struct MemberAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "add", abstract: "Adds users to a group; those who belong to it already change nothing.",
      discussion: "Example: sluice group member add analysts ana rui")

    @Argument(help: "The group's name.") var group: String
    @Argument(help: "The users' names.") var users: [String]
    @OptionGroup var common: CommonOptions

    func run() async throws { try await GroupCommand.change(group, users, add: true, common) }
  }

  struct MemberRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "remove", abstract: "Takes users out of a group.",
      discussion: "Example: sluice group member remove analysts rui")

    @Argument(help: "The group's name.") var group: String
    @Argument(help: "The users' names.") var users: [String]
    @OptionGroup var common: CommonOptions

    func run() async throws { try await GroupCommand.change(group, users, add: false, common) }
  }

  private static func change(_ group: String, _ users: [String], add: Bool, _ common: CommonOptions) async throws {
    try await common.settingOptions.withMetadata { metadata, _ in
      let changed = try await metadata.transaction { session in
        let changed = try await session.changeMembers(of: group, users: users, add: add)
        guard changed > 0 else { return 0 }
        try await session.audit(
          users.map {
            AuditEntry(
              actor: Operator.name, action: "group member \(add ? "add" : "remove")", identity: $0,
              detail: ["group": group])
          })
        try await session.submitEvaluations()
        return changed
      }
      let sentence = "\(group): \(changed) \(add ? "added" : "removed")"
      try common.output.done(sentence, ["name": .text(group), "changed": .count(changed)])
    }
  }
}
