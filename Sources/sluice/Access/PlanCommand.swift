import ArgumentParser
import Enforcement
import Governance
import Metadata

struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Prints the SQL that would bring the targets to the desired state, and runs none.",
    discussion: """
      It is read from the real catalogs. Exit 0 if there is nothing to do, 1 if there is. What it prints for one
      connection, psql can run as the user that Sluice logs in as.

      Example: sluice plan prod
      """)

  @Argument(
    help: .init("A connection, database, schema or table; everything without it.", valueName: "path"),
    transform: PathText.parse)
  var path: SecurablePath?
  @OptionGroup var common: CommonOptions

  func run() async throws {
    try await common.settingOptions.withMetadata(requiring: [.secretKeyFile]) { metadata, settings in
      let connections = try await metadata.read { session in
        if let path {
          try await session.requireExistence(of: path)
          return [try await session.connection(named: path.connection)]
        }
        return try await session.connections().filter { $0.state != .inactive && $0.state != .deleting }
      }
      let plans = try await settings.withTargets(metadata) { targets in
        let planner = Planner(metadata: metadata, targets: targets)
        var plans: [PlannedStatements] = []
        for target in connections { plans += try await planner.plan(target, below: path) }
        return plans
      }
      try show(plans)
      if !plans.isEmpty { throw ExitCode(ExitStatus.failed.rawValue) }
    }
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
