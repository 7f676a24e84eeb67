import ArgumentParser

struct QueueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queue", abstract: "The queue in Redis.", discussion: "Example: sluice queue stats --by connection",
    subcommands: [QueueStatsCommand.self])
}
