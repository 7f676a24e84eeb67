import ArgumentParser
import Enforcement

struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Prints the SQL that would bring the targets to the desired state, and runs none.",
    discussion: """
      It is read from the real catalogs. Exit 0 if there is nothing to do, 1 if there is. What it prints for one
      connection, psql can run as the user that Sluice logs in as.

      Example: sluice plan prod
      """)

  @OptionGroup var part: TargetPart
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let plans = try await part.read(common) { [path = part.path] in try await $0.plan($1, below: path) }
    try show(plans)
    if !plans.isEmpty { throw ExitCode(ExitStatus.failed.rawValue) }
  }

  private func show(_ plans: [PlannedStatements]) throws {
    guard common.output.form == .table else {
      return try common.output.list(
        plans.map {
          [
            "connection": .text($0.connection), "database": .optional($0.database),
            "statements": .texts($0.statements),
          ]
        })
    }
    if plans.isEmpty { return common.output.note("nothing to do") }
    for plan in plans { try Output.standardOutput(try plan.script()) }
  }
}
