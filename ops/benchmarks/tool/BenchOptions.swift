import ArgumentParser
import Platform

/// What every bench is told on its command line.
struct BenchOptions: ParsableArguments {
  @Flag(help: "One JSON object a line instead of a table.") var json = false
  @Flag(help: "Names the cases and ends.") var list = false
  @Flag(help: "A smoke test: little work, figures without meaning.") var quick = false
  @Option(help: .init("A case, a group of cases or a figure; may be repeated.", valueName: "case"))
  var only: [String] = []

  /// Names the cases, or measures those that were chosen, in a run that is made for them and ended after them.
  func measure<Run: Sendable>(
    _ bench: String, _ cases: [BenchCase<Run>], in make: () throws -> Run, end: (Run) async -> Void
  ) async throws {
    if list { return cases.forEach { print("\($0.name): \($0.summary)") } }
    LineLogHandler.bootstrap(format: .text, level: .error)
    let selection = Selection(names: only)
    let chosen = cases.filter { selection.contains(case: $0.name) }
    guard !chosen.isEmpty else { throw BenchError("there is no case \(only.joined(separator: ", ")); see --list") }
    let run = try make()
    do {
      let report = Report(bench: bench, isJSON: json)
      report.begin()
      for item in chosen {
        for figure in try await item.measure(run) where selection.contains(figure: figure.name) {
          try report.add(figure)
        }
      }
      await end(run)
    } catch {
      await end(run)
      throw error
    }
  }
}
