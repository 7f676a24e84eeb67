import ArgumentParser

struct EnforcementCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "enforcement",
    abstract: "Measures what Sluice does in a target, through the built binary; beside it psql with the same SQL.")

  @OptionGroup var options: BenchOptions

  func run() async throws {
    try await options.measure("enforcement", EnforcementCases.all) {
      try EnforcementRun(scale: options.quick ? .quick : .full)
    } end: {
      await $0.end()
    }
  }
}

/// What `ops/bench enforcement` measures, in the order in which it does.
enum EnforcementCases {
  static let all: [BenchCase<EnforcementRun>] = PolicyCases.all + SubscriptionCases.all + SyncCases.all
}

/// How much work a run does.
struct EnforcementScale: Sendable {
  let tables: Int
  let users: Int
  let policies: Int
  /// Pairs that are granted one by one, to tell how long all of them would take so.
  let sampledPairs: Int
  /// Users subscribed to one and the same table.
  let oneTableUsers: Int
  /// Users and tables of the individual subscriptions: each user to each table.
  let subscribers: Int
  let subscribedTables: Int
  let hotWorkers: Int
  let relations: Int

  static let full = EnforcementScale(
    tables: 10_000, users: 1000, policies: 50, sampledPairs: 2000, oneTableUsers: 3000, subscribers: 200,
    subscribedTables: 50, hotWorkers: 16, relations: 100_000)
  /// To see that everything works; its figures say nothing.
  static let quick = EnforcementScale(
    tables: 60, users: 20, policies: 6, sampledPairs: 20, oneTableUsers: 30, subscribers: 5, subscribedTables: 4,
    hotWorkers: 2, relations: 200)
}
