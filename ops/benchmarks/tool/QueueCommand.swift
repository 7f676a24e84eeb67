import ArgumentParser
import Foundation
import Platform

@main
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ops/bench", abstract: "Measures Sluice on this machine, with servers of its own.",
    subcommands: [QueueCommand.self, WorkerRole.self, SchedulerRole.self])
}

struct QueueCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "queue", abstract: "Measures the job queue, with its ledger and without.")

  @Flag(help: "One JSON object a line instead of a table.") var json = false
  @Flag(help: "Names the cases and ends.") var list = false
  @Flag(help: "A smoke test: little work, figures without meaning.") var quick = false
  @Option(help: .init("A case, a group of cases or a figure; may be repeated.", valueName: "case"))
  var only: [String] = []

  func run() async throws {
    let cases = QueueCases.all
    if list { return cases.forEach { print("\($0.name): \($0.summary)") } }
    LineLogHandler.bootstrap(format: .text, level: .error)
    let selection = Selection(names: only)
    let chosen = cases.filter { selection.contains(case: $0.name) }
    guard !chosen.isEmpty else { throw BenchError("there is no case \(only.joined(separator: ", ")); see --list") }
    let run = try QueueRun(scale: quick ? .quick : .full)
    do {
      try await measure(chosen, in: run, selection)
      await run.end()
    } catch {
      await run.end()
      throw error
    }
  }

  private func measure(_ cases: [BenchCase<QueueRun>], in run: QueueRun, _ selection: Selection) async throws {
    let report = Report(bench: "queue", isJSON: json)
    report.begin()
    for item in cases {
      for figure in try await item.measure(run) where selection.contains(figure: figure.name) {
        try report.add(figure)
      }
    }
  }
}
