import ArgumentParser

@main
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops/bench", abstract: "Measures Sluice on this machine, with servers of its own.",
    subcommands: [QueueCommand.self, EnforcementCommand.self, WorkerRole.self, SchedulerRole.self])
}

struct QueueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queue", abstract: "Measures the job queue, with its ledger and without.")

  @OptionGroup var options: BenchOptions

  func run() async throws {
    try await options.measure("queue", QueueCases.all) {
      try QueueRun(scale: options.quick ? .quick : .full)
    } end: {
      await $0.end()
    }
  }
}
