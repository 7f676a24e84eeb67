import ArgumentParser
import Enforcement
import Metadata

struct DriftCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drift", abstract: "Shows differences that nobody asked for, and access that Sluice did not give.",
    discussion: """
      Read from the real catalogs; nothing is changed. lost: should be there and is not. surplus: is there by Sluice's \
      grantor and should not be. changed: a membership with other options. foreign: access of somebody with an account \
      that no subscription explains, with the route it comes by; what is open to many is shown once, with one of them \
      and their number. What an open job is about to change is shown as pending. Exit 0 if there is nothing but that, 1 \
      if there is, or if not everything could be asked.

      Example: sluice drift prod/main
      """)

  @OptionGroup var part: TargetPart
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let found = try await part.read(common) { [path = part.path] planner, connection in
      try await planner.drift(connection, below: path).map { place in
        Place(connection: connection.name, database: place.database, drift: place.drift)
      }
    }
    try show(found)
    let isDrift = found.contains { $0.drift.unlisted + $0.drift.unasked > 0 || !$0.drift.unexplained.isEmpty }
    if isDrift { throw ExitCode(ExitStatus.failed.rawValue) }
  }

  struct Place: Sendable {
    let connection: String
    let database: String?
    let drift: Drift

    var records: [OutputRecord] {
      drift.entries.map { entry in
        [
          "connection": .text(connection), "database": .optional(database), "finding": .text(entry.finding.rawValue),
          "pending": .bool(entry.isPending), "grantee": .text(entry.grantee), "privileges": .text(entry.privileges),
          "on": .text(entry.place), "route": .optional(entry.route), "via": .optional(entry.via),
          "grantor": .optional(entry.grantor), "users": .optional(entry.users),
          "data_sources": .optional(entry.dataSources),
          "remark": .optional(entry.remark.isEmpty ? nil : entry.remark), "problem": .optional(entry.problem),
        ]
      }
    }
  }

  private func show(_ found: [Place]) throws {
    try common.output.list(
      found.flatMap(\.records),
      columns: [
        "connection", "database", "finding", "pending", "grantee", "users", "privileges", "on", "route", "via",
        "grantor",
      ],
      empty: "no drift")
    for place in found where place.drift.unlisted + place.drift.unasked > 0 {
      let name = place.connection + (place.database.map { "/\($0)" } ?? "")
      if place.drift.unlisted > 0 { Output.standardError("\(name): \(place.drift.unlisted) more are not listed\n") }
      if place.drift.unasked > 0 {
        Output.standardError(
          "\(name): \(place.drift.unasked) pairs of a user and a data source were not asked for foreign access; "
            + "give a narrower path\n")
      }
    }
  }
}
