import ArgumentParser
import Metadata
import Postgres

struct MigrateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "migrate", abstract: "Brings the metadata database to the version of this program.",
    discussion: """
      Versions only go forward; processes refuse to start on a database that is too old or too new. Several at the \
      same time do no harm.

      Example: sluice migrate --check
      """)

  @Flag(help: "Only tell whether there is anything to do: exit 1 if there is.") var check = false
  @OptionGroup var common: CommonOptions

  func run() async throws {
    let settings = try common.settingOptions.settings(requiring: [.metadataURL])
    settings.startLogging()
    let connection = try await PostgresConnection.connect(try settings.metadataConfiguration())
    do {
      if check { try await tell(connection) } else { try await migrate(connection) }
      await connection.close()
    } catch {
      await connection.close()
      throw error
    }
  }

  private func migrate(_ connection: PostgresConnection) async throws {
    switch try await Schema.migrator.state(on: connection) {
    case .ahead, .changed: try await Schema.requireCurrent(MetadataSession(connection: connection))
    case .empty, .behind, .current: break
    }
    let applied = try await Schema.migrator.migrate(on: connection)
    let versions = applied.map { "\($0)" }.joined(separator: ", ")
    try common.output.done(
      applied.isEmpty ? "the metadata database is current" : "applied migrations \(versions)",
      ["applied": .list(applied.map(OutputValue.count)), "state": .text("current")])
  }

  private func tell(_ connection: PostgresConnection) async throws {
    let state = try await Schema.migrator.state(on: connection)
    let word =
      switch state {
      case .current: "current"
      case .empty: "empty"
      case .behind: "behind"
      case .ahead: "ahead"
      case .changed: "changed"
      }
    try common.output.done("the metadata database is \(word)", ["applied": .list([]), "state": .text(word)])
    try await Schema.requireCurrent(MetadataSession(connection: connection))
  }
}
