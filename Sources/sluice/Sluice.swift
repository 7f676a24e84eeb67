import ArgumentParser

/// The command line: the only place where the floors are put together.
@main
struct Sluice: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sluice",
    abstract: "Keeps who may read and write PostgreSQL tables equal to what the policies say.",
    discussion: """
      Try it: sluice dev --demo

      Settings come from flags, then SLUICE_… variables, then the --config file, then defaults; see: sluice config show
      Exit status: 0 done, 1 refused or failed, 2 not found, 3 timed out waiting, 64 wrong usage, 69 metadata \
      database or Redis unreachable.
      """,
    version: "0.1.0",
    groupedSubcommands: [
      CommandGroup(name: "To try it", subcommands: [DevCommand.self]),
      CommandGroup(
        name: "Setting up",
        subcommands: [MigrateCommand.self, KeyCommand.self, ConfigCommand.self, ConnectionCommand.self]),
      CommandGroup(name: "Processes", subcommands: [SchedulerCommand.self, WorkerCommand.self, DoctorCommand.self]),
      CommandGroup(
        name: "The tree",
        subcommands: [TreeCommand.self, EnableCommand.self, DisableCommand.self, InheritCommand.self]),
      CommandGroup(
        name: "People and policies",
        subcommands: [
          UserCommand.self, GroupCommand.self, AttributeCommand.self, PolicyCommand.self, SubscriptionCommand.self,
          ExplainCommand.self,
        ]),
      CommandGroup(
        name: "Jobs",
        subcommands: [
          SubmitCommand.self, JobCommand.self, DeadCommand.self, QueueCommand.self, PlanCommand.self, DriftCommand.self,
        ]),
    ])

  /// Parses and runs; every way to fail ends in `Ending`.
  static func main() async {
    StandardStreams.reserveClosed()
    let command: any ParsableCommand
    do {
      let arguments = HelpWords.understood(Array(CommandLine.arguments.dropFirst()))
      if let word = HelpWords.misspelled(arguments) { throw ValidationError("Unknown option '\(word)'") }
      if let word = HelpWords.negative(arguments) {
        throw ValidationError("'\(word)' is negative: numbers, durations and limits are not")
      }
      command = try parseAsRoot(arguments)
    } catch {
      exit(withError: error)
    }
    do {
      var command = command
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      Ending.end()
    } catch {
      Ending.end(with: error)
    }
  }
}
